"""What the gate must know beside the numbers: whose they are, and whether anybody was left out."""

from __future__ import annotations

import logging

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.deletion.forget_list import ForgetList
from dlfd_ops.deletion.parent import read_parent
from dlfd_ops.deletion.requests import read_requests
from dlfd_ops.deletion.resolution import resolve
from dlfd_ops.evaluation.gate import Evidence, Facts
from dlfd_ops.evaluation.results import Evaluated, read_evaluated
from dlfd_ops.workflows.evidence import evidence_flaw
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout

_LOGGER = logging.getLogger(__name__)


def gather_facts(layout: Layout, manifest: Manifest, forget_list: ForgetList, weights_digest: str) -> Facts:
    """Return the facts about the model that is to be registered.

    Reads ``metrics/evaluated.json``, ``audit/evidence.json``, ``deletion/{requests.csv,parent.json}``,
    ``data/prepared/aliases.csv`` and ``models/original/trained_on.parquet``.

    Args:
        layout: of the repository.
        manifest: the data.
        forget_list: what the model was made to forget.
        weights_digest: of the unlearned weights.

    Raises:
        BadInput: a file is missing or damaged, or a request matches nothing.
    """
    evaluated = read_evaluated(layout.metrics("evaluated"))
    parent = read_parent(layout.parent)
    known = read_known(layout, manifest)
    wanted = resolve(read_requests(layout.requests), known.data, parent, known.aliases, known.gone)
    return Facts(
        evidence=_evidence(layout, evaluated, forget_list, manifest, weights_digest),
        left_out=left_out(wanted, forget_list) + _not_evaluated(evaluated, forget_list),
        unlearnings=parent.unlearnings + 1,
    )


def left_out(wanted: ForgetList, forget_list: ForgetList) -> int:
    """Return how many samples, and requests, of ``wanted`` are not on ``forget_list``, and how many can't be on it."""
    samples = set(wanted.cumulative_ids) - set(forget_list.cumulative_ids)
    requests = set(wanted.request_ids) - set(forget_list.request_ids)
    return len(samples) + len(requests) + sum(count.gone for count in wanted.counts.values())


def _evidence(
    layout: Layout, evaluated: Evaluated | None, forget_list: ForgetList, manifest: Manifest, weights_digest: str
) -> Evidence:
    data = manifest.digest()
    if evaluated is None or (evaluated.weights_digest, evaluated.manifest_digest) != (weights_digest, data):
        return "missing"
    flaw = evidence_flaw(layout, forget_list_digest=forget_list.digest(), manifest_digest=data)
    if flaw is not None:
        _LOGGER.warning("the evidence is not signed: %s", flaw)
        return "present"
    return "signed"


def _not_evaluated(evaluated: Evaluated | None, forget_list: ForgetList) -> int:
    """All of the list or none of it: the evaluation refuses a list that it cannot read in full."""
    same = evaluated is not None and evaluated.forget_list_digest == forget_list.digest()
    return 0 if same else len(forget_list)
