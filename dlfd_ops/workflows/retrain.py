"""The retrain stage: the oracle, trained from scratch without the forget list."""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.deletion.forget_list import read_forget_list
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.report import judge_model
from dlfd_ops.evaluation.results import RetrainedRecord, read_json, write_retrained
from dlfd_ops.params import Params
from dlfd_ops.workflows.evaluate import load_sets, settings_digest
from dlfd_ops.workflows.fitting import fit, recipe_digest
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.references import train_references


def retrain(params: Params, root: Path = Path()) -> None:
    """Train on the retain set with the original's recipe, and the reference models that are asked for.

    Writes ``models/retrained`` and ``metrics/retrained.json``.

    Raises:
        BadInput: an input is missing or damaged, a label does not fit, or the original was trained by another recipe.
    """
    layout = Layout(root)
    _check_recipe(params, layout)
    manifest, forget_list = read_manifest(layout.manifest), read_forget_list(layout.forget_list)
    # As the original knows them: trained on newcomers as well, it would be no yardstick.
    known = read_known(layout, manifest).data
    retain = known.split("train").without(forget_list.cumulative_ids)
    fitted = fit(params, retain, "retrained", "retraining.csv", root, manifest=manifest)
    sets = load_sets(known, forget_list.cumulative_ids, params.base.labels)
    references = train_references(params, retain, sets, layout)
    if not fitted.is_main_process:
        return
    judged = judge_model(
        fitted.model,
        sets,
        params.evaluate,
        seed=params.base.seed,
        device=fitted.device,
        references=references,
        progress="retrained",
    )
    record = RetrainedRecord(
        judged.evaluation,
        round(fitted.seconds, 3),
        forget_list.digest(),
        known.digest(),
        settings_digest(params),
        references,
    )
    write_retrained(record, layout.metrics("retrained"))


def _check_recipe(params: Params, layout: Layout) -> None:
    """Refuse a yardstick made in another way than the original; of one trained elsewhere nobody knows the way."""
    path = layout.metrics("train")
    recorded = read_json(path).get("recipe") if path.exists() else None
    if recorded not in (None, recipe_digest(params)):
        raise BadInput(
            "the retrained model must be trained as the original was",
            received="other sections base or train in params.yaml",
            remedy="put back what they said then, or train a new original (docs/registry.md)",
        )
