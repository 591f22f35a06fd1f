"""The steps of an erasure, in order. Each can be repeated, so a run that was killed is completed by running all again.

What keeps the people from coming back is written first, what is needed to find the rest (the intent) goes last.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.data.removal import find_leftovers, is_photo, list_files, remove_photos, rows_naming, tables_without
from dlfd_ops.data.trained_on import read_trained_on, write_trained_on
from dlfd_ops.deletion.erasure import (
    INTENT_FILE,
    RAW,
    WORKING_TREE,
    Intent,
    Target,
    count,
    count_grounds,
)
from dlfd_ops.deletion.suppression import append_suppressed, list_digest, read_suppression
from dlfd_ops.digest import sha256_bytes, sha256_file
from dlfd_ops.errors import CheckFailed
from dlfd_ops.evaluation.results import flatten, read_json
from dlfd_ops.files import leftovers, write_text
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.params import Params
from dlfd_ops.storage.dvc_files import freeze
from dlfd_ops.storage.history import read_history, remove_references
from dlfd_ops.storage.repository import DvcRepository
from dlfd_ops.tracking.removal import remove_model
from dlfd_ops.tracking.runs import experiment_name
from dlfd_ops.tracking.store import open_store
from dlfd_ops.workflows.certify import certify_again
from dlfd_ops.workflows.erasure.models import adopted_weights, pointer_of
from dlfd_ops.workflows.erasure.outcomes import outcomes, receipt_of, weights_of
from dlfd_ops.workflows.erasure.people import cleared, find_people
from dlfd_ops.workflows.erasure.planning import EXPERIMENTS, Planner
from dlfd_ops.workflows.erasure.private import half_replaced
from dlfd_ops.workflows.erasure.survey import Surroundings
from dlfd_ops.workflows.intake import Intake
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import prepare, read_source
from dlfd_ops.workflows.retired import retire


@dataclass(frozen=True)
class Work:
    """What the steps work on.

    Attributes:
        params: of the pipeline.
        layout: of the repository.
        key: behind the keyed hashes.
        repository: under DVC's lock.
        intent: what to do.
        intake: under its lock.
    """

    params: Params
    layout: Layout
    key: SecretKey
    repository: DvcRepository
    intent: Intent
    intake: Intake

    def going(self, *kinds: str) -> list[Target]:
        """Return the targets of these kinds that are to be removed."""
        return [target for target in self.intent.targets if target.outcome == "remove" and target.kind in kinds]

    @property
    def folders(self) -> list[Path]:
        """What an erasure changes of the newest revision: data and models, as DVC knows them."""
        layout = self.layout
        return [layout.root / self.intent.source, layout.prepared, layout.model("original"), layout.parent_model]


def suppress(work: Work) -> None:
    """Put the people on the suppression list: from here on no delivery brings them back."""
    append_suppressed(work.intent.suppress)


def remove_raw(work: Work) -> None:
    """Remove the raw photos and the rows about them."""
    if not any(target.store == RAW for target in work.going("photo", "table")):
        return
    root, photos = work.layout.root / work.intent.source, set(work.intent.photos)
    source = read_source(work.params, root)
    named = rows_naming(source, work.key, {one.keyed_hash for one in work.intent.suppress if one.kind == "subject"})
    staying = [path for path in list_files(root) if is_photo(path) and path not in photos]
    remove_photos(root, sorted(photos), tables_without(root, photos, source, staying, named))
    for left in find_leftovers(root):  # of a table, by a run that was killed in this very step
        left.unlink()


def retire_original(work: Work) -> None:
    """Put a record in the place of the original's weights; its training stays frozen from here on.

    The weights that it was adopted from go with DVC's pointer to them: nothing reads them any more. All of it comes
    before the data are prepared again: the record names the test photos that its numbers were measured on.
    """
    going = {Path(target.name) for target in work.going("model")}
    weights, adopted = work.layout.model("original") / WEIGHTS, adopted_weights(work.params, work.layout)
    if not going.isdisjoint({weights, adopted}):
        freeze("train", work.layout.root)
    if weights in going and weights.exists():  # else a run retired it that may have been killed in writing the manifest
        known = read_known(work.layout, read_manifest(work.layout.manifest))
        retire(weights.parent, _numbers_of_the_original(work.layout), known.data)
    if adopted in going:
        adopted.unlink(missing_ok=True)
        pointer_of(adopted).unlink(missing_ok=True)


def clear_record(work: Work) -> None:
    """Take the people out of the record of what the original was trained on: nothing is asked about them any more."""
    path = work.layout.trained_on
    record = read_trained_on(path)
    # Else a run did it that may have been killed in writing the manifest anew.
    if record.digest() != work.intent.trained_on_after:
        write_trained_on(cleared(record, work.intent.suppress, read_manifest(work.layout.manifest)), path)


def prepare_again(work: Work) -> None:
    """Write the prepared data as the prepare stage now writes them: without the people."""
    prepare(work.params)


def pin_parent(work: Work) -> None:
    """Let the next unlearning start from the version that serves, and needs none of what is to go."""
    work.intake.pin()


def record(work: Work) -> None:
    """Tell DVC what stands there now, and that no later stage has to run for it."""
    work.repository.refresh()
    work.repository.record([*work.folders, work.layout.parent])
    work.repository.accept(work.intent.recorded, work.layout.root)
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
    targets = [target for target in work.going("model") if not target.oid and target.store != WORKING_TREE]
    store = open_store(work.layout.root) if targets else None
    for target in targets:
        if store is not None:
            name, note = work.params.register_.model_name, work.intent.plan.digest()
            remove_model(store, experiment_name(work.params), name, target.name, note)


def remove_traces(work: Work) -> None:
    """Remove checkpoints, private lists, temporary files, and weights that nothing has replaced yet."""
    for target in work.going("checkpoint", "temporary file", "model"):
        path = Path(target.name)
        replaced = target.kind == "model" and path.exists() and sha256_file(path) != target.weights
        if target.store == WORKING_TREE and not replaced:
            path.unlink(missing_ok=True)
    for folder in half_replaced(work.layout):
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
    """Write the receipt, and tell the ledger."""
    targets = outcomes(work.intent.targets, work.repository.in_use())
    receipt = receipt_of(work.intent, targets, read_manifest(work.layout.manifest).digest())
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
            "trained_on_before": work.intent.trained_on_before,
            "trained_on_after": work.intent.trained_on_after,
            "objects": count(receipt.items),
            "kept": count_grounds(receipt.items),
            "weights": weights_of(targets),
            "unreadable_revisions": len(receipt.unreadable_revisions),
            "suppression_digest": list_digest(read_suppression()),
            "not_reached": list(receipt.not_reached),
        },
    )


def certify(work: Work) -> None:
    """Renew the certificates of the people and of the versions that forgot them: they say what was erased."""
    certify_again(work.layout, work.intent.plan.request_ids)


def close(work: Work) -> None:
    """Let go of the intent: from here on nothing is left to complete."""
    intent = work.layout.root / INTENT_FILE
    for left in leftovers(intent):
        left.unlink()
    intent.unlink(missing_ok=True)


STEPS: tuple[Callable[[Work], None], ...] = (
    suppress,
    remove_raw,
    retire_original,
    clear_record,
    prepare_again,
    pin_parent,
    record,
    push,
    remove_objects,
    remove_experiments,
    remove_models,
    remove_traces,
    check_nothing_left,
    clear_state,
    leave_receipt,
    certify,
    close,
)


def _numbers_of_the_original(layout: Layout) -> Mapping[str, float]:
    path = layout.metrics("unlearning")
    numbers = flatten(read_json(path)) if path.exists() else {}
    return {name.removeprefix("original."): value for name, value in numbers.items() if name.startswith("original.")}
