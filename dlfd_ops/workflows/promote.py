"""Promotion: the version whose gate passed begins to serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.params import Params
from dlfd_ops.storage.dvc_files import PIPELINE_FILE, freeze
from dlfd_ops.tracking.aliases import CANDIDATE
from dlfd_ops.workflows.actor import actor
from dlfd_ops.workflows.champion import Champion, Moved, failed_rules, open_champion

MAX_REASON_CHARACTERS = 500


@dataclass(frozen=True)
class Promotion:
    """What came of it.

    Attributes:
        moved: from where to where.
        failed: rules that the version failed; empty unless it was forced.
    """

    moved: Moved
    failed: tuple[str, ...]


def promote(params: Params, root: Path = Path(), *, version: int | None = None, reason: str | None = None) -> Promotion:
    """Let the alias ``champion`` name a version whose gate passed, and record it in the ledger.

    Run again it changes nothing; interrupted anywhere, the next run completes it with one event.

    Args:
        params: ``register.model_name`` is read.
        root: the repository.
        version: its number; None takes the one that the alias ``candidate`` names.
        reason: forces a version that did not pass, in the words that the ledger will keep; None forces nothing.

    Raises:
        BadInput: no such version, candidate or model, a reason that is empty, too long or not printable, nobody named
            as who decides, or a store that does not answer.
        CheckFailed: the gate did not pass and nothing is forced, or its verdict is not the certified one; the version
            does not cover a fulfilled request, which nothing can force; registry and ledger differ; or somebody else
            promoted at the same moment.
    """
    reason, who = _checked(reason), actor(root)
    with open_champion(params, root) as champion:
        wanted = _candidate(champion) if version is None else version
        champion.check_may_serve(wanted)
        failed = failed_rules(champion.serving, wanted)
        if failed and reason is None:
            raise CheckFailed(
                f"a version must pass its gate to be promoted, and version {wanted} of {champion.model_name} did not",
                received="; ".join(failed),
                remedy="promote another version, or have a person decide: --force --reason",
            )
        if not failed:
            champion.check_certified(wanted)
        facts = {
            "by": who,
            "forced": bool(failed),
            "reason": reason if failed else None,
            "failed_rules": list(failed),
        }
        if not champion.serves(wanted) and (root / PIPELINE_FILE).exists():
            freeze("train", root)  # to let a version serve is to accept the original that it came from
        moved = champion.move("promoted", wanted, facts)
    return Promotion(moved, failed)


def _candidate(champion: Champion) -> int:
    candidate = champion.aliases.get(CANDIDATE)
    if candidate is None:
        raise BadInput(
            f"{champion.model_name} must have a candidate to promote",
            received=f"no alias {CANDIDATE}: no version has passed its gate",
            remedy="name a version with --version: that says which rules it failed",
        )
    return candidate


def _checked(reason: str | None) -> str | None:
    if reason is None:
        return None
    text = reason.strip()
    if not text or len(text) > MAX_REASON_CHARACTERS or not text.isprintable():
        raise BadInput(
            f"a reason must have 1 to {MAX_REASON_CHARACTERS} printable characters, in one line",
            received=f"{len(text)} characters" + ("" if text.isprintable() else ", some not printable"),
            remedy="say in a sentence why it must serve all the same; name nobody",
        )
    return text
