"""Does what stands in the repository and in the registry agree with the ledger? Comparisons only, no reading.

The ledger says what should be found; the caller reads what is found and hands it in. What the ledger says nothing about
yet is not checked.

Files belong to the version that the receipt names, or to a run that is still under way (resolved or unlearned, but not
registered yet). Earlier versions live in the registry only, where their tags are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dlfd_ops.audit.chain import Event, Problem
from dlfd_ops.audit.evidence import VersionEvidence, lineage, version_in_use, versions
from dlfd_ops.audit.facts import Erased, Evaluated, Receipt, Resolved, Unlearned, facts
from dlfd_ops.audit.findings import MISSING, Finding, Verification, compare_digest, compare_values
from dlfd_ops.audit.timeline import printable
from dlfd_ops.deletion.parent import Parent
from dlfd_ops.deletion.requests import DeletionRequest
from dlfd_ops.deletion.status import received_data

LEDGER = "audit/ledger.jsonl"
REQUESTS = "deletion/requests.csv"
FORGET_LIST = "deletion/forget_list.parquet"
MANIFEST = "data/prepared/manifest.parquet"
TRAINED_ON = "models/original/trained_on.parquet"
ORIGINAL = "models/original/weights.safetensors"
UNLEARNED = "models/unlearned/weights.safetensors"
PARENT = "models/parent/weights.safetensors"
PINNED = "deletion/parent.json"
METRICS = "metrics/unlearning.json"
RECEIPT = "registry/version.json"
NOT_RECORDED = "seconds."
"""What names of metrics begin with that the ledger does not hold: how long it took says nothing about the model."""


@dataclass(frozen=True)
class Found:
    """What stands in the repository; None where there is no such file.

    Attributes:
        original: SHA-256 of ``models/original/weights.safetensors``, by the record that stands there once it is erased.
        retired: whether it is that record.
        unlearned: SHA-256 of ``models/unlearned/weights.safetensors``.
        parent: SHA-256 of ``models/parent/weights.safetensors``; None where the original is the parent.
        pinned: ``deletion/parent.json``.
        forget_list: digest of ``deletion/forget_list.parquet``.
        to_forget: the requests that the forget list says it fulfils.
        manifest: digest of ``data/prepared/manifest.parquet``.
        trained_on: digest of ``models/original/trained_on.parquet``.
        receipt: ``registry/version.json``.
        metrics: ``metrics/unlearning.json``, flat.
        requests: ``deletion/requests.csv``.
        damaged: files that are there and cannot be read, by the names above, with what is wrong.
    """

    original: str | None = None
    retired: bool = False
    unlearned: str | None = None
    parent: str | None = None
    pinned: Parent | None = None
    forget_list: str | None = None
    to_forget: Sequence[str] | None = None
    manifest: str | None = None
    trained_on: str | None = None
    receipt: Receipt | None = None
    metrics: Mapping[str, float | None] | None = None
    requests: Sequence[DeletionRequest] | None = None
    damaged: Mapping[str, str] = field(default_factory=dict)


def compare_files(events: Sequence[Event], found: Found) -> Verification:
    """Compare the files of the repository with the ledger.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    registered = versions(events)
    version = version_in_use(found.receipt, registered)
    erased = [fact for _, fact in facts(events, "erased", Erased)]
    accepted = _Accepted.of(events, erased, version)
    compared = {
        REQUESTS: _compare_intake(events, found.requests),
        FORGET_LIST: compare_digest(FORGET_LIST, accepted.forget_lists, found.forget_list),
        MANIFEST: compare_digest(MANIFEST, accepted.manifests, found.manifest),
        TRAINED_ON: compare_digest(TRAINED_ON, accepted.trained_on, found.trained_on)
        + _compare_records(erased, registered),
        ORIGINAL: compare_digest(ORIGINAL, accepted.originals, found.original)
        + _compare_retired(found, {digest for fact in erased for digest in fact.weights}),
        UNLEARNED: compare_digest(UNLEARNED, accepted.unlearned, found.unlearned),
        PARENT: _compare_parent(registered, found.parent),
        METRICS: _compare_metrics(events, accepted.unlearned, found.metrics),
        RECEIPT: _compare_receipt(events, registered, version, found.receipt),
    }
    for what, wrong in found.damaged.items():
        compared[what] = Verification(findings=(Finding(what, "a readable file", wrong),), checked=(what,))
    return sum(compared.values(), Verification())


def compare_chain(problems: Iterable[Problem]) -> Verification:
    """Return what does not hold in the ledger itself."""
    findings = tuple(
        Finding(f"{LEDGER} line {problem.line} ({problem.rule})", printable(problem.expected), printable(problem.found))
        for problem in problems
    )
    return Verification(findings=findings, checked=(LEDGER,))


@dataclass(frozen=True)
class _Accepted:
    """Digests that the files may have: the expected one first, then that of the newest run."""

    forget_lists: tuple[str, ...]
    manifests: tuple[str, ...]
    trained_on: tuple[str, ...]
    originals: tuple[str, ...]
    unlearned: tuple[str, ...]

    @classmethod
    def of(cls, events: Sequence[Event], erased: Sequence[Erased], version: VersionEvidence | None) -> _Accepted:
        lists = [fact for _, fact in facts(events, "resolved", Resolved)][-1:]
        made = [fact for _, fact in facts(events, "unlearned", Unlearned)]
        unlearned, models = {fact.weights_digest: fact for fact in made}, made[-1:]
        if version is not None:
            lists = ([version.resolved] if version.resolved else []) + lists
            models = ([version.unlearned] if version.unlearned else []) + models
        return cls(
            forget_lists=_distinct(fact.forget_list_digest for fact in lists),
            manifests=_distinct(_manifest_now(erased, fact.manifest_digest) for fact in lists),
            trained_on=_distinct(_record_now(erased, fact) for fact in lists if fact.trained_on_digest),
            originals=_distinct(lineage(fact.weights_digest, unlearned)[-1] for fact in models),
            unlearned=_distinct(fact.weights_digest for fact in models),
        )


def _manifest_now(erased: Iterable[Erased], manifest: str) -> str:
    """Return the digest that a manifest has since the data of fulfilled requests were erased from it."""
    return _followed(((fact.manifest_before, fact.manifest_after) for fact in erased), manifest)


def _record_now(erased: Iterable[Erased], resolved: Resolved) -> str:
    """Return the digest that the record of what the original was trained on has by now; empty where it was not told."""
    moves = ((fact.trained_on_before, fact.trained_on_after) for fact in erased)
    return _followed(moves, resolved.trained_on_digest or "")


def _followed(moves: Iterable[tuple[str | None, str | None]], digest: str) -> str:
    for before, after in moves:
        if before == digest:
            digest = after or digest
    return digest


def _compare_records(erased: Sequence[Erased], registered: Sequence[VersionEvidence]) -> Verification:
    """Check that a version goes by the same record as the one that it was unlearned from, but for erasures.

    Whoever takes a photo out of it takes it off every later forget list. What is unlearned from an original that no
    version serves from yet may go by another one: its training, or adoption, may have been repeated on other data.
    """
    findings: list[Finding] = []
    told: dict[str, tuple[int, str]] = {}
    for version in registered:
        record = _record_now(erased, version.resolved) if version.resolved else ""
        if not record or version.unlearned is None:
            continue
        told[version.registered.weights_digest] = (version.registered.version, record)
        parent, expected = told.get(version.unlearned.parent_weights_digest, (0, record))
        if record != expected:
            what = f"{TRAINED_ON} of version {version.registered.version}"
            findings.append(Finding(what, f"{expected}, as version {parent} that it was unlearned from", record))
    return Verification(findings=tuple(findings))


def _compare_retired(found: Found, erased: Collection[str]) -> Verification:
    """Check that a record stands for the original's weights only where the ledger tells of their erasure.

    A copy may be kept all the same, of another project or beside the pipeline's own models.
    """
    if not found.retired or found.original in erased:
        return Verification()
    finding = Finding(ORIGINAL, "the weights: the ledger tells of no erasure", "a record of erased ones")
    return Verification(findings=(finding,))


def _compare_receipt(
    events: Sequence[Event],
    registered: Sequence[VersionEvidence],
    version: VersionEvidence | None,
    receipt: Receipt | None,
) -> Verification:
    if version is None and receipt is None:
        return Verification(not_checked=(f"{RECEIPT}: no version is registered yet",))
    if version is None or receipt is None:
        expected = f"the receipt of version {version.registered.version}" if version else "no receipt"
        found = f"version {receipt.version}" if receipt else MISSING
        return Verification(findings=(Finding(RECEIPT, expected, found),), checked=(RECEIPT,))
    facts_of = version.registered.model_dump(exclude={"request_ids", "provenance"})
    if version.resolved:
        facts_of["manifest_digest"] = version.resolved.manifest_digest
    if version.gate:
        facts_of["gate"] = version.gate
    receipts = compare_values(RECEIPT, facts_of, receipt.model_dump())
    return receipts + _compare_coverage(registered, version, closed_requests(events))


def closed_requests(events: Sequence[Event]) -> set[str]:
    """Return the requests that were withdrawn or refused."""
    return {str(event.data["request_id"]) for event in events if event.kind in ("withdrawn", "refused")}


def _compare_parent(registered: Sequence[VersionEvidence], found: str | None) -> Verification:
    """Check that the pinned parent is one of the registered versions; the original leaves no weights there."""
    if found is None:
        return Verification()
    return compare_digest(PARENT, [version.registered.weights_digest for version in reversed(registered)], found)


def _compare_coverage(
    registered: Sequence[VersionEvidence], version: VersionEvidence, closed: set[str]
) -> Verification:
    """Check that the version in use forgets whatever any version forgot, save requests closed without forgetting.

    An older version may legitimately be in use again, when the parameters are set back or a request is withdrawn.
    """
    asked = {request_id for other in registered for request_id in other.registered.request_ids}
    missing = sorted(asked - closed - set(version.registered.request_ids))
    if not missing:
        return Verification()
    known = f"version {version.registered.version}, which still knows {', '.join(map(printable, missing))}"
    return Verification(findings=(Finding(RECEIPT, "a version that forgets every request registered so far", known),))


def _compare_intake(events: Sequence[Event], requests: Sequence[DeletionRequest] | None) -> Verification:
    filed = {str(event.data.get("request_id")): event.data for event in events if event.kind == "received"}
    found = {request.request_id: received_data(request) for request in requests or ()}
    result = Verification(checked=(REQUESTS,))
    for request_id in _distinct([*filed, *found]):
        name = f"{REQUESTS} {printable(request_id)}"
        if request_id not in found:
            result += Verification(findings=(Finding(name, "a row", MISSING),))
        elif request_id not in filed:
            result += Verification(findings=(Finding(name, "a received event in the ledger", MISSING),))
        else:
            result += Verification(findings=compare_values(name, filed[request_id], found[request_id]).findings)
    return result


def _compare_metrics(
    events: Sequence[Event], weights: Sequence[str], found: Mapping[str, float | None] | None
) -> Verification:
    """Compare with the newest measurement of the model, but accept an older one of the same model."""
    measured = [fact for _, fact in facts(events, "evaluated", Evaluated) if fact.weights_digest in weights]
    if not measured:
        return Verification(not_checked=(f"{METRICS}: the ledger holds no measurement yet",))
    if found is None:  # one difference, and not one for every number
        finding = Finding(METRICS, f"{len(measured[-1].metrics)} numbers", MISSING)
        return Verification(findings=(finding,), checked=(METRICS,))
    results = [_compare_measurement(fact.metrics, found) for fact in reversed(measured)]
    return next((result for result in results if not result.findings), results[0])


def _compare_measurement(expected: Mapping[str, float | None], found: Mapping[str, float | None]) -> Verification:
    invented = [
        Finding(f"{METRICS} {printable(name)}", MISSING, printable(value))
        for name, value in found.items()
        if name not in expected and not name.startswith(NOT_RECORDED)
    ]
    return compare_values(METRICS, expected, found) + Verification(findings=tuple(invented))


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
