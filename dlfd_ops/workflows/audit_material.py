"""Gathering what a report is made of: files always, the registry where it may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dlfd_ops.audit.chain import GENESIS, Event
from dlfd_ops.audit.composing import Material
from dlfd_ops.audit.coverage import compare_coverage
from dlfd_ops.audit.evidence import VersionEvidence, version_in_use, versions
from dlfd_ops.audit.facts import check_facts
from dlfd_ops.audit.findings import Finding, Verification
from dlfd_ops.audit.lineage import Place
from dlfd_ops.audit.stores import Photos
from dlfd_ops.audit.verification import LEDGER, Found, compare_chain, compare_files
from dlfd_ops.data.subjects import read_aliases
from dlfd_ops.deletion.requests import DeletionRequest
from dlfd_ops.deletion.resolution import find_samples
from dlfd_ops.errors import BadInput
from dlfd_ops.params import Params
from dlfd_ops.tracking.aliases import CANDIDATE, CHAMPION
from dlfd_ops.tracking.provenance import UNKNOWN, data_digest
from dlfd_ops.tracking.store import open_store
from dlfd_ops.tracking.versions import read_aliases_of_versions
from dlfd_ops.workflows.audit_aliases import compare_aliases
from dlfd_ops.workflows.audit_certificates import compare_certificates, compare_served
from dlfd_ops.workflows.audit_files import open_ledger, read_found, read_losses, read_numbers, read_places, read_samples
from dlfd_ops.workflows.audit_keys import compare_keys
from dlfd_ops.workflows.audit_registry import compare_registry
from dlfd_ops.workflows.audit_stores import compare_erased_models, compare_stores, read_receipts
from dlfd_ops.workflows.layout import Layout

NOT_ASKED = "MLflow: a report of the pipeline reads files only; `dlfd-ops audit report` asks the registry too"


def compare_parts(
    root: Path, *, expected_head: str | None = None, expected_key: str | None = None, ask_registry: bool = True
) -> dict[str, Verification]:
    """Compare each part of the evidence with the ledger: chain, files, keys and certificates, registry.

    Where the chain cannot be read to its end there is nothing to compare the rest with.

    Args:
        root: the repository.
        expected_head: a head of the ledger that was noted elsewhere; it must stand in the chain.
        expected_key: id of a signing key that was had from the company; see :func:`compare_keys`.
        ask_registry: False leaves MLflow alone.

    Raises:
        BadInput: there is no ledger, or the MLflow store does not answer.
    """
    layout = Layout(root)
    chain = open_ledger(layout).read(expected_head)
    parts = {"chain": compare_chain(chain.problems)}
    unread = Verification(not_checked=("everything else: the ledger cannot be read to its end",))
    if not chain.whole:
        return parts | {"files": unread}
    try:
        check_facts(chain.events)
    except BadInput as error:
        return parts | {"files": unread + Verification(findings=(Finding(LEDGER, error.rule, error.received),))}
    found = read_found(layout)
    parts["files"] = compare_files(chain.events, found) + compare_coverage(chain.events, found)
    keys = compare_keys(layout, chain.events, expected_key)
    parts["certificates"] = keys + compare_certificates(layout, chain.events)
    parts["stores"] = compare_stores(layout, chain.events)
    parts["registry"] = (
        _compare_registry(root, chain.events, found) if ask_registry else Verification(not_checked=(NOT_ASKED,))
    )
    return parts


def gather(params: Params, root: Path = Path(), *, ask_registry: bool) -> Material:
    """Return what a report is made of; what is not there yet is left out.

    Reads the ledger, the intake, the forget list, the manifest and the merged subjects beside it, the original and the
    unlearned weights, ``metrics/unlearning.json``, ``plots/losses.csv``, ``registry/version.json`` and DVC's digest of
    the raw data.

    Args:
        params: ``base.dataset`` and ``prepare.root`` are read.
        root: the repository.
        ask_registry: whether to look up in MLflow where the versions are now. A store that does not answer is no
            error: the report says so.

    Raises:
        BadInput: there is no ledger, an event lacks a fact of its kind, or a file is damaged.
        CheckFailed: a line of the ledger is no event.
    """
    layout = Layout(root)
    events = open_ledger(layout).events()
    check_facts(events)
    found = read_found(layout)
    raw = data_digest(root, params.prepare.root)
    material = Material(
        dataset=params.base.dataset,
        raw_path=params.prepare.root,
        raw_digest=None if raw == UNKNOWN else raw,
        events=events,
        parts=compare_parts(root, ask_registry=False),
        requests=found.requests or (),
        samples=read_samples(layout.forget_list),
        photos=_photos(layout, found.requests or ()),
        receipt=found.receipt,
        metrics=read_numbers(layout.metrics("unlearning")),
        losses=read_losses(layout.plot("losses.csv")),
        receipts=read_receipts(layout, events)[0],
    )
    return _with_registry(material, root, found) if ask_registry else material


def _with_registry(material: Material, root: Path, found: Found) -> Material:
    try:
        outcome, places = _compare_registry(root, material.events, found), _places(root, material.events)
    except BadInput as error:
        outcome, places = Verification(not_checked=(f"MLflow: {error.rule}; received {error.received}",)), {}
    return replace(material, parts={**material.parts, "registry": outcome}, places=places)


def _compare_registry(root: Path, events: Sequence[Event], found: Found) -> Verification:
    registered = versions(events)
    heads = {GENESIS, *(event.hash for event in events)}
    in_use = version_in_use(found.receipt, registered)
    compared = compare_registry(root, registered, in_use, found.receipt, heads)
    compared += compare_served(Layout(root), events) + compare_aliases(root, events, registered)
    return compared + compare_erased_models(root, events, registered, found.receipt, found.original)


def _places(root: Path, events: Sequence[Event]) -> dict[tuple[str, int], Place]:
    """Look up where the registered versions, and the originals that were registered before them, are now."""
    registered = versions(events)
    if not registered:
        return {}
    store = open_store(root)
    places: dict[tuple[str, int], Place] = {}
    for name in {one.registered.model_name for one in registered if one.registered.store == store.description}:
        aliases = read_aliases_of_versions(store, name)
        newest = max([*aliases, *_numbers(registered, name)])
        places |= {(name, number): _place(aliases.get(number)) for number in range(1, newest + 1)}
    return places


def _numbers(registered: Iterable[VersionEvidence], name: str) -> list[int]:
    return [one.registered.version for one in registered if one.registered.model_name == name]


def _place(aliases: Sequence[str] | None) -> Place:
    if aliases is None:
        return "deleted"
    if CHAMPION in aliases:
        return "serving"
    return "candidate" if CANDIDATE in aliases else "archived"


def _photos(layout: Layout, requests: Sequence[DeletionRequest]) -> dict[str, Photos] | None:
    """Count every request's photos in the prepared data; None where there is none, or none that can be read."""
    try:
        places = read_places(layout)
    except BadInput:  # the comparison of the files names it
        return None
    if not places:
        return None
    known, *rest = places
    split = dict(zip(known.rows["sample_id"], known.rows["split"], strict=True))
    aliases = read_aliases(layout.aliases)
    gone = find_samples(requests, rest[0], aliases) if rest else None
    return {
        request_id: _count([split[sample] for sample in samples], None if gone is None else len(gone[request_id]))
        for request_id, samples in find_samples(requests, known, aliases).items()
    }


def _count(splits: Sequence[str], gone: int | None) -> Photos:
    return Photos(train=splits.count("train"), other=len(splits) - splits.count("train"), gone=gone)
