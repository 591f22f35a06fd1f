"""The evidence behind a gate's verdict: the numbers as they were measured, signed before anybody judged them.

``evaluate`` signs, ``register`` checks and lets the gate judge, and the certificate that follows names the evidence by
its digest. So the verdict never has to vouch for a signature that itself holds the verdict.
"""

from __future__ import annotations

import math

from dlfd_ops.audit.certificates import EVIDENCE, read_signed, sign_evaluation
from dlfd_ops.audit.certifying import WEIGHTS
from dlfd_ops.audit.keyring import Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.statement import Evaluation, EvaluationStatement, FileDigest, FileSubject
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import DlfdError
from dlfd_ops.evaluation.results import read_metrics
from dlfd_ops.models.checkpoint import weights_digest
from dlfd_ops.workflows.layout import Layout

METRICS = "metrics/unlearning.json"


def sign_evidence(layout: Layout, *, forget_list_digest: str, manifest_digest: str) -> None:
    """Sign ``metrics/unlearning.json`` as it stands, for the unlearned weights as they stand.

    Writes ``audit/evidence.json``; the same numbers and the same key give the same bytes.

    Raises:
        BadInput: the signing key is not at hand.
    """
    keyring = Keyring(layout.root, Ledger(layout.ledger))
    statement = _statement(layout, forget_list_digest, manifest_digest)
    sign_evaluation(layout.evidence, statement, keyring)


def evidence_flaw(layout: Layout, *, forget_list_digest: str, manifest_digest: str) -> str | None:
    """Return why there is no signed evidence for exactly these numbers, or None where there is.

    The signature must be of the key in use, and the statement the one that would be signed now: for these weights,
    these numbers, this forget list and these data.

    Raises:
        BadInput: the weights or the numbers are missing or damaged.
    """
    keyring = Keyring(layout.root, Ledger(layout.ledger))
    wanted = _statement(layout, forget_list_digest, manifest_digest)
    try:
        signed = read_signed(layout.evidence, keyring.public_keys(), what=str(EVIDENCE))
    except DlfdError as error:
        return f"{error.rule}; received {error.received}"
    if keyring.current() not in signed.key_ids:
        return f"{EVIDENCE} must be signed with the key in use; received one of a key that was replaced"
    return None if signed.statement == wanted else f"{EVIDENCE} must be about the weights, numbers and data at hand"


def _statement(layout: Layout, forget_list_digest: str, manifest_digest: str) -> EvaluationStatement:
    numbers = layout.metrics("unlearning")
    return EvaluationStatement(
        subject=(
            FileSubject(name=WEIGHTS, digest=FileDigest(sha256=weights_digest(layout.model("unlearned")))),
            FileSubject(name=METRICS, digest=FileDigest(sha256=sha256_file(numbers))),
        ),
        predicate=Evaluation(
            forget_list_digest=forget_list_digest,
            manifest_digest=manifest_digest,
            metrics={name: value if math.isfinite(value) else None for name, value in read_metrics(numbers).items()},
        ),
    )
