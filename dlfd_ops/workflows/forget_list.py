"""The forget_list stage: from open requests to the samples to forget."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.timeline import count as number_of
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.deletion.forget_list import ForgetList, write_forget_list
from dlfd_ops.deletion.parent import read_parent
from dlfd_ops.deletion.requests import DeletionRequest, read_requests
from dlfd_ops.deletion.resolution import check_forgettable, resolve
from dlfd_ops.params import Params
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout

_LOGGER = logging.getLogger(__name__)


def forget_list(params: Params) -> ForgetList:
    """Resolve the open requests, write ``deletion/forget_list.parquet`` and record it in the ledger.

    Reads the manifest, the aliases, the record of what the original was trained on, the intake and the pinned parent;
    the ledger is written, never read for a decision: DVC does not see it.

    Raises:
        BadInput: a request matches nothing or was made with another key, nothing is to be forgotten, or too much.
    """
    layout = Layout()
    manifest, parent = read_manifest(layout.manifest), read_parent(layout.parent)
    requests = read_requests(layout.requests)
    known = read_known(layout, manifest)
    resolved = resolve(requests, known.data, parent, known.aliases, known.gone)
    _warn_of_missing(requests, resolved)
    check_forgettable(resolved, known.data, parent, params.forget_list.max_share)
    if not resolved.counts:
        _LOGGER.info("nothing new to forget: version %d is the result", parent.version)
    write_forget_list(layout.forget_list, resolved)
    Ledger(layout.ledger).append(
        "resolved",
        {
            "request_ids": resolved.request_ids,
            "forget_list_digest": resolved.digest(),
            "forget_count": len(resolved),
            "manifest_digest": manifest.digest(),
            "trained_on_digest": known.record.digest(),
        },
    )
    return resolved


def _warn_of_missing(requests: Iterable[DeletionRequest], resolved: ForgetList) -> None:
    for request in requests:
        count = resolved.counts.get(request.request_id)
        if count is None:
            continue
        found = count.train + count.other
        if found < len(request.sample_ids):
            _LOGGER.warning(
                "%s asks for %s and the data have %d of them: a photo that was saved anew is another file",
                request.request_id,
                number_of(len(request.sample_ids), "photo"),
                found,
            )
        if count.gone:
            _LOGGER.warning(
                "%s: the data no longer have %s that the original was trained on: bring them back, "
                "else the model still knows them and the gate fails",
                request.request_id,
                number_of(count.gone, "photo"),
            )
