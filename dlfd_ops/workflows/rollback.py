"""Rollback: an earlier version serves again, unless it still knows somebody who was forgotten since."""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.audit.facts import RolledBack
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.params import Params
from dlfd_ops.workflows.actor import actor
from dlfd_ops.workflows.champion import Champion, Moved, failed_rules, open_champion


def rollback(params: Params, root: Path = Path(), *, to: int | None = None) -> Moved:
    """Let the alias ``champion`` name an earlier version, and record it in the ledger.

    Interrupted anywhere, the same command completes it with one event.

    Args:
        params: ``register.model_name`` is read.
        root: the repository.
        to: the version; None takes the one that served before.

    Raises:
        BadInput: nothing serves, there is no such version or it is not an earlier one, nobody is named as who
            decides, or the store does not answer.
        CheckFailed: nothing served before, the version does not cover a fulfilled request, did not pass its gate or is
            not certified so, registry and ledger differ, or somebody else moved the alias at the same moment.
    """
    who = actor(root)
    with open_champion(params, root) as champion:
        wanted = _before(champion) if to is None else _earlier(champion, to)
        champion.check_may_serve(wanted)
        failed = failed_rules(champion.serving, wanted)
        if failed:
            raise CheckFailed(
                f"a version must pass its gate to serve again, and version {wanted} of {champion.model_name} did not",
                received="; ".join(failed),
                remedy="have a person decide: dlfd-ops promote --version --force --reason",
            )
        champion.check_certified(wanted)
        return champion.move("rolled_back", wanted, {"by": who})


def _before(champion: Champion) -> int:
    """Return the version that served before; the alias may name it already, where a rollback was interrupted."""
    if _interrupted_at_the_end(champion):
        return champion.serving.moves[-1].version
    history = champion.serving.history
    if len(history) < 2:
        raise CheckFailed(
            "a version must have served before, to go back to it",
            received=f"{len(history)} in the ledger",
            remedy="name one with --to, or promote one with dlfd-ops promote --version",
        )
    if champion.version not in history[-2:]:
        raise CheckFailed(
            "the registry and the ledger must agree on which version serves",
            received=f"{_named(champion.version)} in the registry, {_named(history[-1])} in the ledger",
            remedy="say which version to go back to with --to, or complete a promotion that was interrupted",
        )
    return history[-2]


def _interrupted_at_the_end(champion: Champion) -> bool:
    """Return whether the last move is a rollback that lacks its last write alone, so that another would be one more."""
    moves = champion.serving.moves
    told = bool(moves) and isinstance(moves[-1], RolledBack) and moves[-1].version == champion.version
    return told and not champion.last_move_is_complete()


def _earlier(champion: Champion, to: int) -> int:
    serves = champion.version if champion.version != to else champion.serving.champion
    if serves is None:
        raise BadInput(
            f"a version of {champion.model_name} must serve, to go back from it",
            received="no other version in the registry or the ledger",
            remedy="promote one with dlfd-ops promote",
        )
    if to > serves and to not in champion.serving.history:
        raise BadInput(
            "a rollback must lead to an earlier version",
            received=f"version {to}, while version {serves} serves",
            remedy=f"promote it: dlfd-ops promote --version {to}",
        )
    return to


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
