"""Comparing the registered versions in MLflow with the ledger."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from dlfd_ops.audit.evidence import VersionEvidence
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.findings import Finding, Verification, compare_version
from dlfd_ops.audit.timeline import printable
from dlfd_ops.tracking.registry import join_ids, registration_key
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import GATE_TAG, HEAD_TAG, KEY_TAG, read_version, search_versions

RUN = "run"


def compare_registry(
    root: Path,
    registered: Sequence[VersionEvidence],
    in_use: VersionEvidence | None,
    receipt: Receipt | None,
    heads: Container[str],
) -> Verification:
    """Compare every version of the ledger, and the original that the receipt names, with the store in use.

    Versions that the ledger does not name are told where they carry a head that it lacks, too: they are another
    clone's, or this ledger was cut before them, and nothing here tells which.

    Args:
        root: the repository.
        registered: the versions of the ledger.
        in_use: the one that the receipt names.
        receipt: of the registration.
        heads: every hash of the chain: the heads that the versions' checkpoints may name.

    Raises:
        BadInput: the store does not answer.
    """
    if not registered:
        return Verification(not_checked=("MLflow: no version is registered yet",))
    store = open_store(root)
    result = Verification()
    for version in registered:
        result += compare_unlearned(store, version, receipt if version is in_use else None, heads)
    if in_use is not None and receipt is not None:
        result += _compare_original(store, in_use, receipt)
    return result + _compare_unnamed(store, registered, heads)


def compare_unlearned(
    store: Store, version: VersionEvidence, receipt: Receipt | None, heads: Container[str]
) -> Verification:
    """Compare a version with the ledger.

    Args:
        store: the store in use; a version of another one is not checked.
        version: what the ledger says.
        receipt: of its registration, where it is the one in use.
        heads: every hash of the chain.

    Raises:
        BadInput: the store does not answer.
    """
    registered = version.registered
    what = _name(registered.model_name, registered.version)
    if registered.store != store.description:
        elsewhere = f"{what}: it is in {registered.store}, and the store in use is {store.description}"
        return Verification(not_checked=(elsewhere,))
    expected = _expected(version)
    if receipt is not None:
        expected["dlfd.parent_version"] = str(receipt.parent_version)
    found = _found(store, registered.model_name, registered.version)
    return compare_version(what, expected, found) + _compare_checkpoint(what, found or {}, heads)


def _compare_unnamed(store: Store, registered: Sequence[VersionEvidence], heads: Container[str]) -> Verification:
    here = [one.registered for one in registered if one.registered.store == store.description]
    named = {(one.model_name, one.version) for one in here}
    lacking = [
        f"{_name(name, version.version)}: no event names it, and its {HEAD_TAG} is not in this ledger, "
        "which is behind another clone's or was cut"
        for name in sorted({one.model_name for one in here})
        for version in search_versions(store, name)
        if (name, version.version) not in named and _unknown_head(version.tags, heads) is not None
    ]
    return Verification(not_checked=tuple(lacking))


def _compare_checkpoint(what: str, found: Mapping[str, str], heads: Container[str]) -> Verification:
    """Check that the ledger still holds the head that stood at its end when the version was registered or promoted."""
    head = _unknown_head(found, heads)
    if head is None:
        return Verification()
    return Verification(findings=(Finding(f"{what} {HEAD_TAG}", "a hash of the ledger's chain", printable(head)),))


def _unknown_head(tags: Mapping[str, str], heads: Container[str]) -> str | None:
    head = tags.get(HEAD_TAG)
    return None if head in heads else head


def _compare_original(store: Store, version: VersionEvidence, receipt: Receipt) -> Verification:
    digest = version.original
    if receipt.store != store.description or digest is None:
        return Verification()
    key = registration_key(
        receipt.model_name, method="original", weights_digest=digest, forget_list_digest="", requests=""
    )
    expected = {"dlfd.method": "original", "dlfd.weights_digest": digest, KEY_TAG: key}
    what = _name(receipt.model_name, receipt.original_version)
    return compare_version(what, expected, _found(store, receipt.model_name, receipt.original_version))


def _expected(version: VersionEvidence) -> dict[str, str]:
    """Return what follows from the ledger; tags whose event is missing are left out."""
    registered, requests = version.registered, join_ids(version.registered.request_ids)
    expected = {
        RUN: registered.run_id,
        "dlfd.weights_digest": registered.weights_digest,
        "dlfd.forget_list_digest": registered.forget_list_digest,
        "dlfd.request_ids": requests,
        **registered.provenance,
    }
    if version.resolved:
        expected["dlfd.forget_count"] = str(version.resolved.forget_count)
        expected["dlfd.manifest_digest"] = version.resolved.manifest_digest
    if version.unlearned:
        expected["dlfd.method"] = version.unlearned.method
        expected[KEY_TAG] = registration_key(
            registered.model_name,
            method=version.unlearned.method,
            weights_digest=registered.weights_digest,
            forget_list_digest=registered.forget_list_digest,
            requests=requests,
        )
    if version.gate:
        expected[GATE_TAG] = version.gate
    return expected


def _found(store: Store, model_name: str, version: int) -> dict[str, str] | None:
    found = read_version(store, model_name, version)
    return None if found is None else {**found.tags, RUN: found.run_id}


def _name(model_name: str, version: int) -> str:
    return f"MLflow {model_name} version {version}"
