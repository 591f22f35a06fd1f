"""Which requests a model has forgotten, as the events of the ledger explain it, and no file beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence, versions
from dlfd_ops.audit.facts import Erased, Registered, Resolved, Unlearned, facts
from dlfd_ops.audit.findings import Finding, Verification
from dlfd_ops.audit.timeline import printable
from dlfd_ops.audit.verification import FORGET_LIST, LEDGER, PINNED, Found, closed_requests
from dlfd_ops.errors import CheckFailed


@dataclass(frozen=True)
class Coverage:
    """What the ledger says about who was to be forgotten.

    Attributes:
        resolved: digest of a forget list -> the requests that it was made of.
        registered: digest of weights -> the requests that the versions with them have forgotten.
        unlearned: digest of weights that an unlearning made -> of those that it started from.
        erased: requests whose data are gone: an original that is trained afterwards never knew them.
        known: digest of trained weights -> the requests that versions made from them had to forget.
        versions: every registered version.
    """

    resolved: Mapping[str, Collection[str]]
    registered: Mapping[str, Collection[str]]
    unlearned: Mapping[str, str]
    erased: Collection[str]
    known: Mapping[str, Collection[str]]
    versions: Sequence[VersionEvidence]

    @classmethod
    def of(cls, events: Sequence[Event]) -> Coverage:
        """Return what the events say.

        Raises:
            BadInput: an event lacks a fact of its kind.
        """
        resolved: dict[str, set[str]] = {}
        for _, listed in facts(events, "resolved", Resolved):
            resolved.setdefault(listed.forget_list_digest, set()).update(listed.request_ids)
        registered: dict[str, set[str]] = {}
        for _, version in facts(events, "registered", Registered):
            registered.setdefault(version.weights_digest, set()).update(version.request_ids)
        unlearned = {
            fact.weights_digest: fact.parent_weights_digest for _, fact in facts(events, "unlearned", Unlearned)
        }
        erased = {request_id for _, fact in facts(events, "erased", Erased) for request_id in fact.request_ids}
        known: dict[str, set[str]] = {}
        made = versions(events)
        for one in made:
            known.setdefault(one.lineage[-1], set()).update(resolved.get(one.registered.forget_list_digest, ()))
        return cls(resolved, registered, unlearned, erased, known, made)

    def covered(self, weights_digest: str) -> Collection[str]:
        """Return the requests that these weights have forgotten; of a trained model, those that it never knew."""
        if weights_digest in self.registered or weights_digest in self.unlearned:
            return self.registered.get(weights_digest, ())
        return {*self.erased}.difference(self.known.get(weights_digest, ()))

    def unexplained(self, version: VersionEvidence) -> list[str]:
        """Return the requests of a version that neither its forget list nor its parent accounts for, sorted."""
        registered = version.registered
        asked = self.resolved.get(registered.forget_list_digest, ())
        parent = self.unlearned.get(registered.weights_digest)
        return sorted({*registered.request_ids}.difference(asked, () if parent is None else self.covered(parent)))


def compare_coverage(events: Sequence[Event], found: Found) -> Verification:
    """Compare what versions, the pinned parent and the forget list are said to forget with what the ledger explains.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    coverage = Coverage.of(events)
    claims = [*_of_versions(coverage), *_of_inputs(coverage, events, found)]
    return Verification(findings=_findings(claims), checked=(PINNED,) if found.pinned else ())


def check_coverage(events: Sequence[Event], found: Found) -> None:
    """Check that the ledger explains what the pinned parent and the forget list are said to forget.

    Raises:
        BadInput: an event lacks a fact of its kind.
        CheckFailed: it does not.
    """
    findings = _findings(_of_inputs(Coverage.of(events), events, found))
    if findings:
        raise CheckFailed(
            "a version may be registered only for requests that the ledger explains",
            received=str(findings[0]),
            remedy="run `dlfd-ops audit verify`, and restore what was edited with dvc checkout or git",
        )


_Claim = tuple[str, str, Collection[str]]
"""Where it stands, what its requests should be, and those that are not."""


def _findings(claims: Iterable[_Claim]) -> tuple[Finding, ...]:
    return tuple(
        Finding(where, expected, ", ".join(map(printable, sorted(ids)))) for where, expected, ids in claims if ids
    )


def _of_inputs(coverage: Coverage, events: Sequence[Event], found: Found) -> list[_Claim]:
    return [*_of_pinned(coverage, events, found), *_of_list(coverage, found)]


def _of_versions(coverage: Coverage) -> Iterator[_Claim]:
    expected = "requests of its forget list and of its parent"
    for one in coverage.versions:
        name = f"{one.registered.model_name} version {one.registered.version}"
        yield f"{LEDGER} registration of {name}", expected, coverage.unexplained(one)


def _of_pinned(coverage: Coverage, events: Sequence[Event], found: Found) -> Iterator[_Claim]:
    if found.pinned is None:
        return
    weights = found.pinned.weights_digest or found.original
    covered = coverage.covered(weights) if weights else ()
    more = {*found.pinned.covers}.difference(covered)
    yield f"{PINNED} covers", "requests that its parent has forgotten", more
    yield f"{PINNED} excluded", "requests that were closed", {*found.pinned.excluded} - closed_requests(events)


def _of_list(coverage: Coverage, found: Found) -> Iterator[_Claim]:
    asked = coverage.resolved.get(found.forget_list or "")
    if asked is not None:  # a list that the ledger does not know differs already
        more = {*(found.to_forget or ())}.difference(asked)
        yield f"{FORGET_LIST} requests", "those that it was resolved from", more
