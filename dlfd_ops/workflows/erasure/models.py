"""Which models knew the people: the logged models of versions that do not cover their requests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence, lineage, versions
from dlfd_ops.audit.facts import Unlearned, facts
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.deletion.erasure import FOREIGN, RESIDUE, Target
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.results import read_json
from dlfd_ops.models.checkpoint import WEIGHTS, weights_digest
from dlfd_ops.params import Params
from dlfd_ops.tracking.aliases import CHAMPION
from dlfd_ops.tracking.removal import StoredModel, stored_models
from dlfd_ops.tracking.runs import experiment_name
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.workflows.audit_files import read_receipt
from dlfd_ops.workflows.erasure.people import People
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.pinning import trained_without

PROMOTE = "promote a version that forgot them, then run this command again"


def older_models(params: Params, layout: Layout, key: SecretKey, people: People) -> Iterator[Target]:
    """Yield the models of the MLflow store that knew one of the people.

    A model without a version of any registered model counts as one that knew them. One that another registered model
    has a version of is not ours to remove.

    Raises:
        BadInput: the store does not answer, or one of these models is in use.
    """
    store = open_store(layout.root)
    name = params.register_.model_name
    covered = _covered(layout, store, name) | _covered_by_fresh_original(layout, store, name, people)
    keep = f"{RESIDUE}: {params.erase.ground}" if params.erase.older_models == "keep" else ""
    models = stored_models(store, experiment_name(params), name)
    _check_replaced(models, covered, people)
    for model in models:
        missing = set(people.request_ids) - covered.get(model.version or 0, frozenset())
        if not missing:
            continue
        _check_not_in_use(model, sorted(missing))
        ground = FOREIGN if model.foreign else keep
        yield Target(
            object=key.object_key(model.model_id),
            kind="model",
            store=f"MLflow {store.description}",
            outcome="keep" if ground else "remove",
            ground=ground,
            name=model.model_id,
            weights=model.tags.get("dlfd.weights_digest", ""),
        )


def adopted_weights(params: Params, layout: Layout) -> Path | None:
    """Return the weight file that the original was adopted from, or None where it was trained here."""
    factory = params.train.factory
    if factory is None or factory.weights is None:
        return None
    return Path(os.path.normpath(layout.root / factory.weights))


def pointer_of(path: Path) -> Path:
    """Return the file with which DVC tracks a file alone."""
    return path.with_name(f"{path.name}.dvc")


def safe_weights(layout: Layout, people: People) -> frozenset[str]:
    """Return the SHA-256 of the weights that know none of the people.

    Those of every version that forgot them all, by the ledger, the original's where it was trained without them, by
    the record of its training, and of what was unlearned from these.
    """
    events = Ledger(layout.ledger).events()
    safe = {version.registered.weights_digest for version in _covering(events, people)}
    safe |= _fresh_original(layout, people)
    for _, made in facts(events, "unlearned", Unlearned):
        if made.parent_weights_digest in safe:
            safe.add(made.weights_digest)
    return frozenset(safe)


def retrained_without(layout: Layout, people: People) -> bool:
    """Return whether the retrained model was trained without all of the people, by its record and the ledger.

    Raises:
        BadInput: the record is damaged.
    """
    path = layout.metrics("retrained")
    record = read_json(path) if path.exists() else {}
    lists = {version.registered.forget_list_digest for version in _covering(Ledger(layout.ledger).events(), people)}
    return record.get("forget_list_digest") in lists


def _fresh_original(layout: Layout, people: People) -> set[str]:
    """Return the SHA-256 of the original in the working tree, if the data of all of the people were gone before it."""
    folder = layout.model("original")
    if not (folder / WEIGHTS).exists() or not set(people.request_ids) <= {*trained_without(layout)}:
        return set()
    return {weights_digest(folder)}


def _covered_by_fresh_original(
    layout: Layout, store: Store, model_name: str, people: People
) -> dict[int, frozenset[str]]:
    """Return the version of an original that was trained without the people, with them, as far as it is registered.

    Which one that is says the receipt, whose version came of it by the ledger, and no tag in the store.
    """
    if not (fresh := _fresh_original(layout, people)) or not layout.receipt.exists():
        return {}
    receipt = read_receipt(layout.receipt)
    made = {fact.weights_digest: fact for _, fact in facts(Ledger(layout.ledger).events(), "unlearned", Unlearned)}
    if (receipt.model_name, receipt.store) != (model_name, store.description):
        return {}
    if lineage(receipt.weights_digest, made)[-1] not in fresh:
        return {}
    return {receipt.original_version: frozenset(people.request_ids)}


def _covering(events: Sequence[Event], people: People) -> list[VersionEvidence]:
    wanted = set(people.request_ids)
    return [version for version in versions(events) if wanted <= set(version.registered.request_ids)]


def _covered(layout: Layout, store: Store, model_name: str) -> dict[int, frozenset[str]]:
    """Return version -> the requests that it forgot, by the ledger."""
    return {
        version.registered.version: frozenset(version.registered.request_ids)
        for version in versions(Ledger(layout.ledger).events())
        if (version.registered.model_name, version.registered.store) == (model_name, store.description)
    }


def _check_replaced(models: Sequence[StoredModel], covered: Mapping[int, frozenset[str]], people: People) -> None:
    """Check that a version that forgot everybody serves: the next unlearning then starts from it."""
    serving = [covered.get(model.version or 0, frozenset()) for model in models if CHAMPION in model.aliases]
    if not any(set(people.request_ids) <= requests for requests in serving):
        raise BadInput(
            "a version that forgot everybody whose data are erased must be in use",
            received="another one, or none" if serving else f"no version with the alias {CHAMPION}",
            remedy=PROMOTE,
        )


def _check_not_in_use(model: StoredModel, missing: Sequence[str]) -> None:
    if model.aliases:
        raise BadInput(
            "a version in use must have forgotten everybody whose data are erased",
            received=f"version {model.version} ({', '.join(model.aliases)}), which still knows {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else ""),
            remedy=PROMOTE,
        )
