"""The erase commands: remove the data of the people whom the model has forgotten, and leave a receipt.

Plan, dry run, execution, receipt. The plan is found by looking at what is there; the intent is written before the
first thing is removed, and a run that was killed is completed by running the command again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.audit.keyring import Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import KEY_ID_FILE, SecretKey, check_key_id, load_key, read_key_id
from dlfd_ops.deletion.erasure import INTENT_FILE, Intent, Plan, read_intent, write_intent
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.params import Params
from dlfd_ops.storage.history import read_history
from dlfd_ops.storage.repository import DvcRepository, locked_repository
from dlfd_ops.workflows.erasure.people import find_people
from dlfd_ops.workflows.erasure.planning import Planner
from dlfd_ops.workflows.erasure.steps import STEPS, Work
from dlfd_ops.workflows.erasure.survey import Surroundings
from dlfd_ops.workflows.intake import Intake, open_intake
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.requests import settle


@dataclass(frozen=True)
class Planned:
    """A plan, and whether it has begun.

    Attributes:
        plan: what is to be done.
        interrupted: a run was killed in it; running again completes it.
    """

    plan: Plan
    interrupted: bool


@dataclass(frozen=True)
class Done:
    """What a run did.

    Attributes:
        plan: that was carried out.
        receipt: path of the receipt, relative to the repository; None when there was nothing to do.
    """

    plan: Plan
    receipt: str | None


def plan_erasure(params: Params) -> Planned:
    """Return what :func:`run_erasure` would do; nothing is changed.

    Raises:
        BadInput: no request is fulfilled, the pipeline is not up to date, a store can't be read, a version in use
            still knows somebody, or it is not certain what must stay.
        CheckFailed: the ledger is not intact.
    """
    with _settled() as (layout, repository, _):
        intent, interrupted = _intent(params, layout, repository)
        return Planned(intent.plan, interrupted)


def run_erasure(
    params: Params,
    *,
    approve: Callable[[Planned], None],
    expected: str | None = None,
    steps: Sequence[Callable[[Work], None]] = STEPS,
) -> Done:
    """Carry the plan out, or complete one that was interrupted.

    Args:
        params: of the pipeline.
        approve: is shown the plan before anything is changed; raises to refuse it.
        expected: digest of the plan that was reviewed; another plan is refused.
        steps: what to do, in order.

    Raises:
        BadInput: as :func:`plan_erasure`, or the signing key is not at hand.
        CheckFailed: the ledger is not intact, the plan is another than the one reviewed, or something was left.
    """
    done = _carry_out(params, approve, expected, steps)
    settle()  # what was pinned is tracked as filing a request does it
    return done


def _carry_out(
    params: Params, approve: Callable[[Planned], None], expected: str | None, steps: Sequence[Callable[[Work], None]]
) -> Done:
    with _settled() as (layout, repository, intake):
        intent, interrupted = _intent(params, layout, repository)
        _check_reviewed(intent.plan, expected)
        if intent.plan.empty:
            return Done(intent.plan, None)
        approve(Planned(intent.plan, interrupted))
        Keyring(layout.root, Ledger(layout.ledger)).signing_key()  # needed at the end, when nothing can be undone
        write_intent(intent, layout.root / INTENT_FILE)
        work = Work(params, layout, _published_key(), repository, intent, intake)
        for step in steps:
            step(work)
        return Done(intent.plan, str(intent.plan.receipt))


@contextmanager
def _settled() -> Iterator[tuple[Layout, DvcRepository, Intake]]:
    """Hold the locks of the intake and of DVC."""
    layout = Layout(Path().resolve())
    with open_intake() as intake, locked_repository(layout.root) as repository:
        yield layout, repository, intake


def _intent(params: Params, layout: Layout, repository: DvcRepository) -> tuple[Intent, bool]:
    interrupted = read_intent(layout.root / INTENT_FILE)
    if interrupted is not None:
        return interrupted, True
    key = _published_key()
    Ledger(layout.ledger).trusted()  # what it calls fulfilled is what goes for good
    repository.check_up_to_date(layout.prepared)
    people = find_people(layout, key)
    if not people.asked:
        raise BadInput(
            "only the data of fulfilled requests can be erased",
            received="no fulfilled request",
            remedy="see dlfd-ops request list: a request is fulfilled by a version whose gate passed",
        )
    around = Surroundings(params, layout, key, repository, read_history(layout.root), people)
    return Planner(around).intent(), False


def _published_key() -> SecretKey:
    """Return the key that the data were prepared with; nothing is made where there is none."""
    key = load_key()
    check_key_id(key, read_key_id(), str(KEY_ID_FILE))
    return key


def _check_reviewed(plan: Plan, expected: str | None) -> None:
    if expected is not None and plan.digest() != expected:
        raise CheckFailed(
            "what runs must be the plan that was reviewed",
            received=f"plan {plan.digest()[:16]}..., reviewed was {expected[:16]}...",
            remedy="something changed since: look at dlfd-ops erase plan again",
        )
