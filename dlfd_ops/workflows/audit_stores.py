"""Comparing the stores with what the ledger says was erased from them: receipts, prepared data, weights, MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence, weights_gone
from dlfd_ops.audit.facts import Erased, facts
from dlfd_ops.audit.facts import Receipt as Registration
from dlfd_ops.audit.findings import MISSING, Finding, Verification
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.deletion.erasure import PREPARED, Receipt, read_receipt, receipt_path
from dlfd_ops.deletion.suppression import SUPPRESSION_FILE, list_digest, read_suppression
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.tracking.removal import has_artifacts
from dlfd_ops.tracking.store import open_store
from dlfd_ops.tracking.versions import read_version
from dlfd_ops.workflows.layout import Layout

MODELS = ("original", "unlearned", "parent", "retrained")
DVC_NOT_CHECKED = "DVC cache and remotes: `dlfd-ops erase plan` looks at every object in them"


def read_receipts(layout: Layout, events: Sequence[Event]) -> tuple[dict[str, Receipt], Verification]:
    """Return the receipts of the erasures, by their SHA-256, and what is wrong with the others.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    found: dict[str, Receipt] = {}
    result = Verification()
    for _, fact in facts(events, "erased", Erased):
        path = receipt_path(fact.plan_digest)
        wrong = None
        if not (layout.root / path).is_file():
            wrong = Finding(str(path), fact.receipt_digest, MISSING)
        elif (digest := sha256_file(layout.root / path)) != fact.receipt_digest:
            wrong = Finding(str(path), fact.receipt_digest, digest)
        else:
            try:
                found[fact.receipt_digest] = read_receipt(layout.root / path)
            except BadInput as error:
                wrong = Finding(str(path), error.rule, error.received)
        result += Verification(findings=(wrong,) if wrong else (), checked=(str(path),))
    return found, result


def compare_stores(layout: Layout, events: Sequence[Event]) -> Verification:
    """Check that what was erased is not back: the receipts, the prepared data, and the models of the working tree.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    receipts, result = read_receipts(layout, events)
    if not result.checked:
        return Verification(not_checked=("the stores: nothing was erased yet",))
    result += _compare_photos(layout, receipts) + _compare_weights(layout, weights_gone(events))
    result += _compare_suppression(layout, events)
    return result + Verification(not_checked=(DVC_NOT_CHECKED,))


def compare_erased_models(
    root: Path,
    events: Sequence[Event],
    registered: Sequence[VersionEvidence],
    registration: Registration | None,
    original: str | None,
) -> Verification:
    """Check that MLflow holds nothing of the versions whose weights are erased.

    Args:
        root: the repository; versions of another store than the one in use are not checked.
        events: the ledger.
        registered: the versions of the ledger.
        registration: the receipt of the version in use; it says which version the original is.
        original: digest of the original's weights.

    Raises:
        BadInput: the store does not answer.
    """
    gone = weights_gone(events)
    if not gone:
        return Verification()
    store = open_store(root)
    ours = [one.registered for one in registered if one.registered.store == store.description]
    wanted = [(one.model_name, one.version, one.weights_digest) for one in ours]
    if registration is not None and registration.store == store.description and original is not None:
        wanted.append((registration.model_name, registration.original_version, original))
    result = Verification()
    for name, version, digest in sorted(set(wanted)):
        if digest in gone and read_version(store, name, version) is not None:
            what = f"MLflow {name} version {version}, its files"
            back = has_artifacts(store, name, version)
            finding = Finding(what, f"nothing: erased on {gone[digest][:10]}", "files")
            result += Verification(findings=(finding,) if back else (), checked=(what,))
    return result


def _compare_suppression(layout: Layout, events: Sequence[Event]) -> Verification:
    """Check that whoever was erased is still kept out: only an erasure adds to the list, and nothing takes from it."""
    expected = [fact.suppression_digest for _, fact in facts(events, "erased", Erased)][-1]
    if expected is None:
        return Verification(not_checked=("the suppression list: this ledger is from before it named the list",))
    name, path = str(SUPPRESSION_FILE), layout.root / SUPPRESSION_FILE
    try:
        found = list_digest(read_suppression(path)) if path.exists() else MISSING
    except BadInput as error:
        found = error.received
    findings = () if found == expected else (Finding(name, expected, found),)
    return Verification(findings=findings, checked=(name,))


def _compare_photos(layout: Layout, receipts: Mapping[str, Receipt]) -> Verification:
    erased = {
        item.object
        for receipt in receipts.values()
        for item in receipt.items
        if (item.kind, item.store, item.outcome) == ("photo", PREPARED, "removed")
    }
    if not layout.manifest.exists() or not erased:
        return Verification()
    try:
        rows = read_manifest(layout.manifest).rows
    except BadInput:  # the comparison of the files names it
        return Verification()
    back = sorted(erased.intersection(rows["sample_id"]))
    findings = [Finding("data/prepared", "no photo that was erased", f"{len(back)}, {back[0]} first")] if back else []
    return Verification(findings=tuple(findings), checked=("data/prepared, for erased photos",))


def _compare_weights(layout: Layout, gone: Mapping[str, str]) -> Verification:
    return Verification(findings=tuple(_back(layout, gone)), checked=("models, for erased weights",))


def _back(layout: Layout, gone: Mapping[str, str]) -> Iterator[Finding]:
    for path in (*(layout.model(name) / WEIGHTS for name in MODELS), layout.adopted):
        if path.is_file() and (digest := sha256_file(path)) in gone:
            yield Finding(str(path.relative_to(layout.root)), f"nothing: erased on {gone[digest][:10]}", "the weights")
