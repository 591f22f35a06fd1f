"""What an erasure comes to: the outcome of every object, the receipt, and what became of weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dlfd_ops.deletion.erasure import FOREIGN, IN_USE, Intent, Receipt, Target


def outcomes(targets: Iterable[Target], used: Collection[str]) -> list[Target]:
    """Return what the receipt is about, each target with its outcome.

    A table that the plan wanted to remove and that the newest state still uses, which is made without the people, said
    nothing about them: it is no part of it.

    Args:
        targets: everything that the plan found.
        used: object ids of the newest state.
    """
    return [
        target.model_copy(update=_outcome(target, target.oid in used))
        for target in targets
        if not (target.kind == "table" and target.outcome == "remove" and target.oid in used)
    ]


def receipt_of(intent: Intent, targets: Iterable[Target], manifest_after: str) -> Receipt:
    """Return the receipt of an erasure.

    Args:
        intent: what was to be done.
        targets: with their outcomes.
        manifest_after: digest of the manifest without the people.
    """
    plan = intent.plan
    return Receipt(
        plan_digest=plan.digest(),
        request_ids=plan.request_ids,
        manifest_before=intent.manifest_before,
        manifest_after=manifest_after,
        items=tuple(target.item() for target in targets),
        unreadable_revisions=plan.unreadable_revisions,
        not_reached=plan.not_reached,
    )


def weights_of(targets: Iterable[Target]) -> dict[str, str]:
    """Return what became of the weights that knew one of the people: "removed" everywhere, or "kept" somewhere.

    Another project's weights in a store that both use are none of the ledger's business.
    """
    targets = list(targets)
    ours = {target.weights for target in targets if target.weights and target.ground != FOREIGN}
    found: dict[str, str] = {}
    for target in targets:
        if target.weights in ours and found.get(target.weights) != "kept":
            found[target.weights] = target.outcome
    return dict(sorted(found.items()))


def _outcome(target: Target, used: bool) -> dict[str, str]:
    if target.outcome == "remove" and not used:
        return {"outcome": "removed"}
    return {"outcome": "kept", "ground": target.ground or IN_USE}
