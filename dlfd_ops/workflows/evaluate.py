"""The evaluate stage: original and unlearned model side by side, and the retrained one where there is one."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.images import load_images
from dlfd_ops.data.manifest import Manifest, read_manifest
from dlfd_ops.deletion.forget_list import ForgetList, read_forget_list
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.figures import draw_losses, draw_roc
from dlfd_ops.evaluation.forgotten import to_metrics, write_forgotten
from dlfd_ops.evaluation.reference_attacks import ReferenceLosses
from dlfd_ops.evaluation.report import EvaluationSets, Judgement, ModelEvaluation, judge_model, rounded
from dlfd_ops.evaluation.results import (
    Evaluated,
    RetrainedRecord,
    flatten,
    read_retrained,
    read_seconds,
    write_evaluated,
    write_metrics,
)
from dlfd_ops.evaluation.retrain_gap import retrain_gap
from dlfd_ops.files import write_text
from dlfd_ops.models.checkpoint import weights_digest
from dlfd_ops.models.precision import compute_exactly
from dlfd_ops.params import Params
from dlfd_ops.workflows.evidence import sign_evidence
from dlfd_ops.workflows.judging import Forgotten, judge_forgotten
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.retired import photos_digest, read_retired
from dlfd_ops.workflows.start import load_fitting, read_start

ORIGINAL, PARENT, UNLEARNED, RETRAINED, NEWEST = "original", "parent", "unlearned", "retrained", "newest"
Metrics = dict[str, dict[str, float]]

_LOGGER = logging.getLogger(__name__)


def evaluate(params: Params, root: Path = Path()) -> Metrics:
    """Judge the models, write metrics and plots, and record the evaluation in the ledger.

    What is to be forgotten is all that the version must not know: the forget list, and what the parent has forgotten
    and is still there. ``newest`` judges the forget list alone, where there is more than it. Where the original's
    weights are erased its recorded numbers stand for it, and the parent is judged as the model before.

    Reads ``data/prepared/manifest.parquet`` and its images, ``deletion/forget_list.parquet``,
    ``deletion/parent.json``, ``models/original``, ``models/parent``, ``models/unlearned``,
    ``metrics/train.json``, ``metrics/unlearn.json`` and ``metrics/retrained.json``.
    Writes ``metrics/{unlearning,evaluated,forgotten}.json``, ``plots/losses.{csv,png,svg}``,
    ``plots/roc.{csv,png,svg}``, and signs the numbers in ``audit/evidence.json``.

    Args:
        params: the sections ``base`` and ``evaluate`` are read; ``train`` to know a retrained model's record again.
        root: the repository.

    Returns:
        The metrics as written, by model, with ``retrain_gap`` and ``seconds``.

    Raises:
        BadInput: an input is missing, damaged, or does not fit the others, a model has diverged, or the signing key
            is not at hand.
    """
    layout = Layout(root)
    manifest, forget_list = read_manifest(layout.manifest), read_forget_list(layout.forget_list)
    measured = {stage: read_seconds(layout.metrics(stage)) for stage in ("train", "unlearn")}
    seconds = {stage: value for stage, value in measured.items() if value is not None}
    known = read_known(layout, manifest).data
    retrained = current_retrained(layout.metrics(RETRAINED), forget_list, known, params)
    sets = load_sets(known, forget_list.cumulative_ids, params.base.labels)
    retired = read_retired(layout.model(ORIGINAL))
    before = None if retired is None else _parent_before(layout, forget_list)
    folders = {ORIGINAL: layout.model(ORIGINAL)} if retired is None else {PARENT: before} if before else {}
    folders[UNLEARNED] = layout.model(UNLEARNED)
    judged = _judge(params, manifest, sets, folders, _references(retrained, params))
    found = {name: judgement.evaluation for name, judgement in judged.items()}
    if retrained is not None:
        found[RETRAINED] = retrained.evaluation
    metrics = ({ORIGINAL: dict(retired.metrics)} if retired else {}) | _collect(found, seconds)
    if retired is not None and PARENT in found and retired.measured_on != photos_digest(known):
        metrics[PARENT] |= _drop_before(layout)
    said = judged[UNLEARNED].predictions
    forgotten = judge_forgotten(layout, forget_list, said, sets.forget.sample_ids, sets.subjects)
    if forgotten.newest is not None:
        metrics[NEWEST] = rounded(forgotten.newest)
    evaluated = Evaluated(weights_digest(layout.model(UNLEARNED)), forget_list.digest(), manifest.digest())
    write_metrics(metrics, layout.metrics("unlearning"))
    write_evaluated(evaluated, layout.metrics("evaluated"))
    write_forgotten(forgotten.by_request, layout.metrics("forgotten"))
    _write_plots(found, layout)
    _record(metrics, evaluated, forgotten, layout)
    sign_evidence(layout, forget_list_digest=forget_list.digest(), manifest_digest=manifest.digest())
    return metrics


def load_sets(manifest: Manifest, forget_ids: Iterable[str], labels: tuple[str, ...]) -> EvaluationSets:
    """Read the images that a model is judged on.

    Args:
        manifest: all samples; ``train`` is what the original was trained on.
        forget_ids: ids of the samples that must not be known, all in the train split.
        labels: the label columns to predict.

    Raises:
        BadInput: a sample to forget is no training sample of the manifest, or an image or a label is broken.
    """
    wanted = set(forget_ids)
    train = manifest.split("train")
    forget = train.only(wanted)
    if len(forget) != len(wanted):
        raise BadInput(
            "every sample of the forget list must be one that the original was trained on, and be there",
            received=f"{len(wanted) - len(forget)} of {len(wanted)} that do not",
            remedy="run the forget_list stage again",
        )
    return EvaluationSets(
        retain=load_images(train.without(wanted), labels),
        forget=load_images(forget, labels),
        validation=load_images(manifest.split("validation"), labels),
        test=load_images(manifest.split("test"), labels),
    )


def settings_digest(params: Params) -> str:
    """Return the digest of what a model is trained and judged by: the ``params`` of DVC's stage ``retrain``."""
    return sha256_json([section.model_dump() for section in (params.base, params.train, params.evaluate)])


def current_retrained(path: Path, forget_list: ForgetList, known: Manifest, params: Params) -> RetrainedRecord | None:
    """Return the retrained model's record, or None when none was trained for this forget list, data and settings.

    A record of another forget list, or of other labels, answers another question: it is left aside, with a warning.

    Args:
        path: of the record.
        forget_list: what the retrained model must not know.
        known: the data as the original knows them.
        params: the sections ``base``, ``train`` and ``evaluate``.

    Raises:
        BadInput: the file is missing or damaged.
    """
    record = read_retrained(path)
    if record is None:
        return None
    made_for = (record.forget_list_digest, record.manifest_digest, record.settings_digest)
    if made_for == (forget_list.digest(), known.digest(), settings_digest(params)):
        return record
    _LOGGER.warning(
        "%s was made for another forget list, other data or other settings (base, train, evaluate) and is left aside; "
        "run the retrain stage to compare",
        path,
    )
    return None


def compute_device() -> torch.device:
    """Return the GPU where there is one, told to compute exactly; else the CPU."""
    compute_exactly()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _parent_before(layout: Layout, forget_list: ForgetList) -> Path | None:
    """Return the folder of the model that the unlearning changed; None where it changed none."""
    start = read_start(layout)
    return start.folder if forget_list.rows and start.parent.kind == "version" else None


def _drop_before(layout: Layout) -> dict[str, float]:
    """Return what the parent had lost against the original: that one can't be measured on the test photos of today."""
    drop = read_start(layout).parent.accuracy_drop
    if drop is None:
        _LOGGER.warning("the original's recorded numbers were measured on other test photos: its weights are erased")
        return {}
    return {"accuracy_drop": drop}


def _judge(
    params: Params,
    manifest: Manifest,
    sets: EvaluationSets,
    folders: Mapping[str, Path],
    references: ReferenceLosses | None,
) -> dict[str, Judgement]:
    models = {name: load_fitting(folder, params, manifest) for name, folder in folders.items()}
    return {
        name: judge_model(
            model,
            sets,
            params.evaluate,
            seed=params.base.seed,
            device=compute_device(),
            references=references,
            progress=name,
        )
        for name, model in models.items()
    }


def _references(retrained: RetrainedRecord | None, params: Params) -> ReferenceLosses | None:
    """Return the references of the record; the retrained model is none, as it is attacked itself."""
    references = None if retrained is None else retrained.references
    asked, found = params.evaluate.references, 0 if references is None else len(references)
    if asked != found:
        _LOGGER.warning(
            "evaluate.references asks for %d reference models and there are %d; run the retrain stage", asked, found
        )
    return references


def _collect(found: Mapping[str, ModelEvaluation], seconds: Mapping[str, float]) -> Metrics:
    metrics = {name: evaluation.metrics for name, evaluation in found.items()}
    if RETRAINED in metrics:
        metrics["retrain_gap"] = rounded(retrain_gap(metrics[UNLEARNED], metrics[RETRAINED]))
    metrics["seconds"] = rounded(seconds)
    return metrics


def _write_plots(found: Mapping[str, ModelEvaluation], layout: Layout) -> None:
    curves = {name: evaluation.curves for name, evaluation in found.items()}
    aucs = {name: one.metrics["mia_auc"] for name, one in found.items() if "mia_auc" in one.metrics}
    losses = [
        (model, name, loss)
        for model, drawn in curves.items()
        for name, values in drawn.losses.items()
        for loss in values.tolist()
    ]
    rates = [
        (model, fpr, tpr)
        for model, drawn in curves.items()
        for fpr, tpr in zip(drawn.fpr.tolist(), drawn.tpr.tolist(), strict=True)
    ]
    _write_csv(layout.plot("losses.csv"), ("model", "set", "loss"), losses)
    _write_csv(layout.plot("roc.csv"), ("model", "fpr", "tpr"), rates)
    draw_losses(curves, aucs, layout.plot("losses"))
    draw_roc(curves, aucs, layout.plot("roc"))


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _record(metrics: Metrics, evaluated: Evaluated, forgotten: Forgotten, layout: Layout) -> None:
    # How long it took says nothing about the model.
    judged = {name: values for name, values in metrics.items() if name != "seconds"}
    Ledger(layout.ledger).append(
        "evaluated",
        {
            "weights_digest": evaluated.weights_digest,
            "forget_list_digest": evaluated.forget_list_digest,
            "metrics": flatten(judged) | to_metrics(forgotten.by_request),
        },
    )
