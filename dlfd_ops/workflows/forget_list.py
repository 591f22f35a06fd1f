"""The forget_list stage: from open requests to the samples to forget."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.deletion.forget_list import (
    FORGET_LIST_FILE,
    ForgetList,
    check_forgettable,
    read_aliases,
    resolve,
    write_forget_list,
)
from dlfd_ops.deletion.parent import PARENT_FILE, read_parent
from dlfd_ops.deletion.requests import REQUESTS_FILE, DeletionRequest, read_requests
from dlfd_ops.params import Params

MANIFEST_FILE = Path("data/prepared/manifest.parquet")
ALIASES_FILE = Path("data/prepared/aliases.csv")

_LOGGER = logging.getLogger(__name__)


def forget_list(params: Params) -> ForgetList:
    """Resolve the open requests, write ``deletion/forget_list.parquet`` and record it in the ledger.

    Reads the manifest, the aliases, the intake and the pinned parent; the ledger is written, never read for a
    decision: DVC does not see it.

    Raises:
        BadInput: a request matches nothing or was made with another key, nothing is to be forgotten, or too much.
    """
    manifest = read_manifest(MANIFEST_FILE)
    parent = read_parent(PARENT_FILE)
    requests = read_requests(REQUESTS_FILE)
    resolved = resolve(requests, manifest, parent, read_aliases(ALIASES_FILE))
    _warn_of_missing(requests, resolved)
    check_forgettable(resolved, manifest, parent, params.forget_list.max_share)
    if not resolved.counts:
        _LOGGER.info("nothing new to forget: version %d is the result", parent.version)
    write_forget_list(FORGET_LIST_FILE, resolved)
    Ledger().append(
        "resolved",
        {
            "request_ids": resolved.request_ids,
            "forget_list_digest": resolved.digest(),
            "forget_count": len(resolved),
            "manifest_digest": manifest.digest(),
        },
    )
    return resolved


def _warn_of_missing(requests: Iterable[DeletionRequest], resolved: ForgetList) -> None:
    for request in requests:
        count = resolved.counts.get(request.request_id)
        found = 0 if count is None else count.train + count.other
        if count is not None and found < len(request.sample_ids):
            _LOGGER.warning(
                "%s asks for %d photos and the data have %d of them: a photo that was saved anew is another file",
                request.request_id,
                len(request.sample_ids),
                found,
            )
