"""Which version serves, by the ledger; and which versions may, for they cover every fulfilled request. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence, versions
from dlfd_ops.audit.facts import MOVES, Move, RolledBack, facts
from dlfd_ops.audit.lineage import forgotten, lineage
from dlfd_ops.deletion.status import request_statuses


@dataclass(frozen=True)
class Serving:
    """What the ledger says about the versions of one registered model in one store.

    Attributes:
        versions: every registered version by its number.
        covers: version -> the requests that it has forgotten, or that the versions which it was unlearned from have.
        fulfilled: the requests that a passed version has forgotten; whoever serves must cover them.
        passed: the versions whose gate passed, by its last decision.
        moves: every promotion and rollback, in order.
        heads: the ledger's heads from the last move on, the move's own first; empty where nothing was promoted yet.
    """

    versions: Mapping[int, VersionEvidence]
    covers: Mapping[int, frozenset[str]]
    fulfilled: frozenset[str]
    passed: frozenset[int]
    moves: tuple[Move, ...]
    heads: tuple[str, ...]

    @classmethod
    def of(cls, events: Sequence[Event], model_name: str, store: str) -> Serving:
        """Read the ledger.

        Args:
            events: the ledger.
            model_name: the registered model.
            store: the store's name, as the ledger has it.

        Raises:
            BadInput: an event lacks a fact of its kind.
        """
        registered = [
            version
            for version in versions(events)
            if (version.registered.model_name, version.registered.store) == (model_name, store)
        ]
        nodes, statuses = lineage(registered, None, {}), request_statuses(events).values()
        ours = [
            (number, move)
            for number, event in enumerate(events)
            for _, move in moves([event])
            if (move.model_name, move.store) == (model_name, store)
        ]
        return cls(
            versions={version.registered.version: version for version in registered},
            covers={node.version: frozenset(forgotten(nodes, node)) for node in nodes if node.version is not None},
            fulfilled=frozenset(status.request_id for status in statuses if status.state == "fulfilled"),
            passed=frozenset(version.registered.version for version in registered if version.gate == "passed"),
            moves=tuple(move for _, move in ours),
            heads=tuple(event.hash for event in events[ours[-1][0] :]) if ours else (),
        )

    @property
    def champion(self) -> int | None:
        """The version that serves, None where nothing was promoted yet."""
        return self.moves[-1].version if self.moves else None

    @property
    def history(self) -> tuple[int, ...]:
        """The versions that one rollback after the other would go through, the one that serves last."""
        stack: list[int] = []
        for move in self.moves:
            if isinstance(move, RolledBack) and move.version in stack:
                del stack[stack.index(move.version) + 1 :]
            else:
                stack = [*(version for version in stack if version != move.version), move.version]
        return tuple(stack)

    def still_knows(self, version: int) -> tuple[str, ...]:
        """Return the fulfilled requests that a version does not cover, sorted; it must not serve if there are any."""
        return tuple(sorted(self.fulfilled - self.covers.get(version, frozenset())))

    def newest_safe(self) -> int | None:
        """Return the newest version that passed its gate and covers every fulfilled request."""
        return max((version for version in self.passed if not self.still_knows(version)), default=None)


def moves(events: Sequence[Event]) -> list[tuple[str, Move]]:
    """Return when, and what, for every promotion and rollback, in order.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    return [found for event in events if event.kind in MOVES for found in facts([event], event.kind, MOVES[event.kind])]
