"""What the ledger says about each registered version: one value that joins the events of its making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.facts import (
    Erased,
    Evaluated,
    Gated,
    Identity,
    Receipt,
    Registered,
    Resolved,
    Unlearned,
    facts,
    read,
)
from dlfd_ops.evaluation.forgotten import requests_measured


@dataclass(frozen=True)
class VersionEvidence:
    """A registered version with the events of its making; None where the ledger has none.

    Attributes:
        at: when it was registered.
        registered: the registration itself.
        resolved: the forget list that it was unlearned from.
        unlearned: the unlearning that made its weights.
        evaluated: its numbers.
        gated: the gate's last decision on it.
        lineage: digests of its weights and of those that they were unlearned from, back to the trained ones.
    """

    at: str
    registered: Registered
    resolved: Resolved | None
    unlearned: Unlearned | None
    evaluated: Evaluated | None
    gated: Gated | None
    lineage: tuple[str, ...]

    @property
    def original(self) -> str | None:
        """Digest of the trained weights that its lineage begins with; None where the ledger has no unlearning."""
        return self.lineage[-1] if self.unlearned else None

    @property
    def gate(self) -> str | None:
        """The decision as receipts and tags state it: "passed" or "failed"; None before one."""
        if self.gated is None:
            return None
        return "passed" if self.gated.passed else "failed"


def versions(events: Sequence[Event]) -> list[VersionEvidence]:
    """Return every registered version, the oldest first; one that was registered anew stands at its new place.

    Raises:
        BadInput: an event lacks a fact of its kind; its line is named.
    """
    # The last one wins: what was told again later is what counts.
    unlearned = {fact.weights_digest: fact for _, fact in facts(events, "unlearned", Unlearned)}
    evaluated = _measurements(events)
    resolved, gated = _resolutions(events), _verdicts(events)
    return [
        VersionEvidence(
            at=at,
            registered=version,
            resolved=resolved.get(version.identity),
            unlearned=unlearned.get(version.weights_digest),
            evaluated=evaluated.get(
                (version.weights_digest, version.forget_list_digest), evaluated.get((version.weights_digest, None))
            ),
            gated=gated.get(version.identity),
            lineage=lineage(version.weights_digest, unlearned),
        )
        for at, version in _newest(facts(events, "registered", Registered))
    ]


def _newest(registered: Sequence[tuple[str, Registered]]) -> list[tuple[str, Registered]]:
    """Drop the registrations that a later one replaced: the same version, after its store was lost."""
    places = {version.identity: place for place, (_, version) in enumerate(registered)}
    return [registered[place] for place in sorted(places.values())]


def _resolutions(events: Sequence[Event]) -> dict[Identity, Resolved]:
    """Return the forget list of every version, as it was resolved before the version was registered.

    A later delivery may give the same list over other data, which says nothing of the versions before it.
    """
    newest: dict[str, Resolved] = {}
    found: dict[Identity, Resolved] = {}
    for event in events:
        if event.kind == "resolved":
            fact = read(event, Resolved)
            newest[fact.forget_list_digest] = fact
        elif event.kind == "registered":
            version = read(event, Registered)
            found.pop(version.identity, None)
            if version.forget_list_digest in newest:
                found[version.identity] = newest[version.forget_list_digest]
    return found


def _verdicts(events: Sequence[Event]) -> dict[Identity, Gated]:
    """Return the newest verdict on every version; one that names no store is on the last version of that number."""
    stores: dict[tuple[str, int], str] = {}
    found: dict[Identity, Gated] = {}
    for event in events:
        if event.kind == "registered":
            version = read(event, Registered)
            stores[version.model_name, version.version] = version.store
        elif event.kind == "gated":
            verdict = read(event, Gated)
            store = verdict.store or stores.get((verdict.model_name, verdict.version), "")
            found[verdict.model_name, verdict.version, store] = verdict
    return found


def _measurements(events: Sequence[Event]) -> dict[tuple[str, str | None], Evaluated]:
    """Return the newest measurement of weights by forget list, and, under None, of all.

    Weights may be measured again on another forget list, an empty one after an erasure, which says nothing of theirs.
    """
    found: dict[tuple[str, str | None], Evaluated] = {}
    for _, fact in facts(events, "evaluated", Evaluated):
        found[fact.weights_digest, fact.forget_list_digest] = found[fact.weights_digest, None] = fact
    return found


def trained_requests(registered: Sequence[VersionEvidence]) -> dict[str, bool]:
    """Return whether photos of a request were trained on, by request, as far as the evaluations of versions tell.

    A request has numbers of its own where its training photos were measured, and none where there were none.
    """
    known: dict[str, bool] = {}
    for version in registered:
        measured = requests_measured(version.evaluated.metrics) if version.evaluated else frozenset()
        if measured and version.resolved:
            for request_id in version.resolved.request_ids:
                known[request_id] = known.get(request_id, False) or request_id in measured
    return known


def weights_gone(events: Sequence[Event]) -> dict[str, str]:
    """Return the weights that an erasure removed from every store that it reached: SHA-256 -> when it ended.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    gone: dict[str, str] = {}
    for at, fact in facts(events, "erased", Erased):
        for digest, outcome in fact.weights.items():
            if outcome == "removed":
                gone.setdefault(digest, at)
            else:
                gone.pop(digest, None)
    return gone


def version_in_use(receipt: Receipt | None, registered: Sequence[VersionEvidence]) -> VersionEvidence | None:
    """Return the version that the receipt names, or the newest where there is no receipt or the ledger lacks it."""
    named = [version for version in registered if receipt and version.registered.same_version(receipt)]
    return next(reversed(named or list(registered)), None)


def lineage(weights_digest: str, unlearned: Mapping[str, Unlearned]) -> tuple[str, ...]:
    """Return digests of weights, from these back to the trained ones, each unlearned from the next.

    Args:
        weights_digest: where to begin.
        unlearned: digest of the weights -> the unlearning that made them.
    """
    line = {weights_digest: None}  # in order, and quick to look up: lines get long, and every version has one
    while (made := unlearned.get(weights_digest)) and made.parent_weights_digest not in line:
        weights_digest = made.parent_weights_digest
        line[weights_digest] = None
    return tuple(line)
