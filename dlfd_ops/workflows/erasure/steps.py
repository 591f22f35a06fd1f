"""The steps of an erasure, in order. Each can be repeated, so a run that was killed is completed by running all again.

What keeps the people from coming back is written first, what is needed to find the rest (the intent) goes last.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.adapters import ADAPTERS
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.data.removal import find_leftovers, is_photo, list_files, remove_photos, tables_without
from dlfd_ops.deletion.erasure import IN_USE, INTENT_FILE, Intent, Item, Receipt, Target, count
from dlfd_ops.deletion.suppression import append_suppressed
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import CheckFailed
from dlfd_ops.files import write_text
from dlfd_ops.params import Params
from dlfd_ops.storage.history import read_history, remove_references
from dlfd_ops.storage.repository import DvcRepository
from dlfd_ops.tracking.removal import remove_model
from dlfd_ops.tracking.store import open_store
from dlfd_ops.workflows.erasure.people import find_people
from dlfd_ops.workflows.erasure.planning import EXPERIMENTS, WORKING_TREE, Planner
from dlfd_ops.workflows.erasure.survey import Surroundings
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import prepare


@dataclass(frozen=True)
class Work:
    """What the steps work on.

    Attributes:
        params: of the pipeline.
        layout: of the repository.
        key: behind the keyed hashes.
        repository: under DVC's lock.
        intent: what to do.
    """

    params: Params
    layout: Layout
    key: SecretKey
    repository: DvcRepository
    intent: Intent

    def going(self, *kinds: str) -> list[Target]:
        """Return the targets of these kinds that are to be removed."""
        return [target for target in self.intent.targets if target.outcome == "remove" and target.kind in kinds]

    @property
    def folders(self) -> list[Path]:
        """Source and prepared data, as DVC knows them."""
        return [Path(self.intent.source), self.layout.prepared]


def suppress(work: Work) -> None:
    """Put the people on the suppression list: from here on no delivery brings them back."""
    append_suppressed(work.intent.suppress)


def remove_raw(work: Work) -> None:
    """Remove the raw photos and the rows about them."""
    if not work.intent.photos:
        return
    root, photos = work.layout.root / work.intent.source, set(work.intent.photos)
    records = ADAPTERS[work.params.prepare.source](root).records
    staying = [path for path in list_files(root) if is_photo(path) and path not in photos]
    remove_photos(root, sorted(photos), tables_without(root, photos, records, staying))
    for left in find_leftovers(root):  # of a table, by a run that was killed in this very step
        left.unlink()


def prepare_again(work: Work) -> None:
    """Write the prepared data as the prepare stage now writes them: without the people."""
    prepare(work.params)


def record(work: Work) -> None:
    """Tell DVC what stands there now, and that no later stage has to run for it."""
    work.repository.refresh()
    work.repository.record(work.folders)
    work.repository.accept(work.intent.recorded)
    work.repository.refresh()


def push(work: Work) -> None:
    """Bring the remotes that held the data up to date, before the older state goes from them."""
    for remote in work.intent.remotes:
        work.repository.push(work.folders, remote)


def remove_objects(work: Work) -> None:
    """Remove photos, listings, tables and runs from DVC's cache and its remotes."""
    used = work.repository.in_use()
    for store in (work.repository.cache(), *work.repository.remotes().stores):
        store.remove(
            target.name
            for target in work.going("photo", "listing", "table", "model", "run cache", "temporary file")
            if target.store == store.name and target.oid not in used
        )


def remove_experiments(work: Work) -> None:
    """Remove the references of experiments that record what is gone."""
    references = [target.name for target in work.going("experiment") if target.store == EXPERIMENTS]
    if references:
        remove_references(work.layout.root, references)


def remove_models(work: Work) -> None:
    """Remove the models that knew the people from MLflow."""
    targets = [target for target in work.going("model") if not target.oid]
    store = open_store(work.layout.root) if targets else None
    for target in targets:
        if store is not None:
            remove_model(store, work.params.register_.model_name, target.name, work.intent.plan.digest())


def remove_traces(work: Work) -> None:
    """Remove checkpoints, private lists and temporary files."""
    for target in work.going("checkpoint", "temporary file"):
        if target.store == WORKING_TREE:
            Path(target.name).unlink(missing_ok=True)
    for folder in work.layout.prepared.parent.glob(f".{work.layout.prepared.name}.*.tmp"):
        shutil.rmtree(folder)


def check_nothing_left(work: Work) -> None:
    """Look again, at everything: a new plan must find nothing to remove.

    Raises:
        CheckFailed: something was left, or came back.
    """
    root = work.layout.root
    work.repository.refresh()
    people = find_people(work.layout, work.key)
    around = Surroundings(work.params, work.layout, work.key, work.repository, read_history(root), people)
    left = [item for item in Planner(around).intent().plan.items if item.outcome == "remove"]
    if left:
        raise CheckFailed(
            "an erasure must leave nothing that its plan removes",
            received=f"{len(left)} left, in: {', '.join(sorted({item.store for item in left}))}",
            remedy="let nothing else work in the repository, and run this command again",
        )


def clear_state(work: Work) -> None:
    """Remove DVC's databases of this repository, after the last step that could fill them with what was there."""
    work.repository.clear_state()


def leave_receipt(work: Work) -> None:
    """Write the receipt, tell the ledger, and only then let go of the intent."""
    receipt = _receipt(work)
    text = receipt.text()
    write_text(work.layout.root / work.intent.plan.receipt, text)
    Ledger(work.layout.ledger).append(
        "erased",
        {
            "request_ids": list(receipt.request_ids),
            "plan_digest": receipt.plan_digest,
            "receipt_digest": sha256_bytes(text.encode()),
            "manifest_before": receipt.manifest_before,
            "manifest_after": receipt.manifest_after,
            "objects": count(receipt.items),
            "unreadable_revisions": len(receipt.unreadable_revisions),
            "not_reached": list(receipt.not_reached),
        },
    )
    intent = work.layout.root / INTENT_FILE
    for left in intent.parent.glob(f".{intent.name}.*.tmp"):
        left.unlink()
    intent.unlink(missing_ok=True)


STEPS: tuple[Callable[[Work], None], ...] = (
    suppress,
    remove_raw,
    prepare_again,
    record,
    push,
    remove_objects,
    remove_experiments,
    remove_models,
    remove_traces,
    check_nothing_left,
    clear_state,
    leave_receipt,
)


def _receipt(work: Work) -> Receipt:
    plan, used = work.intent.plan, work.repository.in_use()
    return Receipt(
        plan_digest=plan.digest(),
        request_ids=plan.request_ids,
        manifest_before=work.intent.manifest_before,
        manifest_after=read_manifest(work.layout.manifest).digest(),
        items=tuple(_outcome(target, target.oid in used) for target in work.intent.targets),
        unreadable_revisions=plan.unreadable_revisions,
        not_reached=plan.not_reached,
    )


def _outcome(target: Target, used: bool) -> Item:
    if target.outcome == "remove" and not used:
        return target.item(outcome="removed")
    return target.item(outcome="kept", ground=target.ground or IN_USE)
