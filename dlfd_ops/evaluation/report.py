"""Everything that is said about one model: the metrics and the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.calibration import expected_calibration_error
from dlfd_ops.evaluation.curves import Curves, curves_of
from dlfd_ops.evaluation.effective_size import auc_error_by_people, loss_likeness
from dlfd_ops.evaluation.membership import Losses, attack_trials, auc_standard_error, roc
from dlfd_ops.evaluation.nomus import forgetting_score, nomus
from dlfd_ops.evaluation.overshoot import compare_losses
from dlfd_ops.evaluation.people import losses_of, person_metrics
from dlfd_ops.evaluation.predictions import Predictions, predict
from dlfd_ops.evaluation.reference_attacks import ReferenceLosses
from dlfd_ops.evaluation.relearning import SMALLEST_SET, relearn_steps
from dlfd_ops.evaluation.subjects import subject_means
from dlfd_ops.evaluation.utility import accuracy, mean_loss
from dlfd_ops.models.classifier import Classifier

if TYPE_CHECKING:
    from dlfd_ops.params import EvaluateSection

OPTIONAL_SETS = ("retain", "validation")
ATTACKED_SETS = ("forget", "test")
"""Those whose features are read, whose losses are drawn, and whose people the intervals draw."""
_DECIMALS = 6


@dataclass(frozen=True)
class EvaluationSets:
    """The images that a model is judged on.

    Attributes:
        retain: training images that nobody asked to forget.
        forget: training images that must not be known, of this unlearning and of those before; may be empty.
        validation: people that no training saw; unlearning was steered by them.
        test: people that nothing saw.
    """

    retain: LabelledImages
    forget: LabelledImages
    validation: LabelledImages
    test: LabelledImages

    @property
    def subjects(self) -> dict[str, tuple[str, ...]]:
        """Of the forget and the test set, the person of each photo."""
        return {name: getattr(self, name).subject_keys for name in ATTACKED_SETS}


@dataclass(frozen=True, eq=False)
class ModelEvaluation:
    """What was found about one model.

    Attributes:
        metrics: the names and meanings are those of :func:`summarise`; rounded to six decimals.
        curves: what is drawn of it.
    """

    metrics: dict[str, float]
    curves: Curves


class Judgement(NamedTuple):
    """What a model said of every set, and what was found in it."""

    predictions: dict[str, Predictions]
    evaluation: ModelEvaluation


def judge_model(
    model: Classifier,
    sets: EvaluationSets,
    section: EvaluateSection,
    *,
    seed: int,
    device: torch.device | str,
    references: ReferenceLosses | None = None,
    progress: str | None = None,
) -> Judgement:
    """Run ``model`` over all sets, summarise what it says, and where it is asked for let it learn again.

    Args:
        model: the classifier; moved to ``device``, otherwise left as it was.
        sets: what to judge it on.
        section: of the parameters.
        seed: of everything drawn.
        device: where to compute.
        references: of models that never saw the forget set; ``model`` is none of them.
        progress: the model's name for the progress bars on a terminal; no bars without it.

    Raises:
        BadInput: as :func:`summarise`.
    """
    predictions = predict_sets(model, sets, section, device=device, progress=progress)
    evaluation = summarise(predictions, section, seed=seed, subjects=sets.subjects, references=references)
    if section.relearn is not None and len(sets.forget) >= SMALLEST_SET:
        steps = relearn_steps(model, sets.forget, section.relearn, seed=seed, device=device)
        evaluation = replace(evaluation, metrics={**evaluation.metrics, "relearn_steps": float(steps)})
    return Judgement(predictions, evaluation)


def predict_sets(
    model: Classifier,
    sets: EvaluationSets,
    section: EvaluateSection,
    *,
    device: torch.device | str,
    progress: str | None = None,
) -> dict[str, Predictions]:
    """Run ``model`` over all sets.

    The same for the original, the unlearned and the retrained model; the forget set is always that of the unlearning.

    Args:
        model: the classifier; moved to ``device``, its modes are left as they were.
        sets: what to judge it on.
        section: the batch size is read.
        device: where to compute.
        progress: the model's name for the progress bars on a terminal; no bars without it.
    """
    return {
        name: predict(
            model,
            data,
            batch_size=section.batch_size,
            device=device,
            keep_features=name in ATTACKED_SETS,
            progress=f"{progress}: {name}" if progress else None,
        )
        for name, data in vars(sets).items()
    }


def summarise(
    predictions: Mapping[str, Predictions],
    section: EvaluateSection,
    *,
    seed: int,
    subjects: Mapping[str, Sequence[str]] | None = None,
    references: ReferenceLosses | None = None,
) -> ModelEvaluation:
    """Turn one model's predictions into its metrics and curves.

    Metrics: ``accuracy`` (test), ``accuracy_retain``, ``accuracy_forget``, ``accuracy_validation``: shares of right
    decisions. ``loss`` (test), ``loss_forget``: means, in nats. ``ece``: calibration on test. ``mia_accuracy``,
    ``mia_auc`` with its standard error ``mia_auc_error``, by people where it is known whose photos they are, and then
    ``loss_likeness`` (0 to 1, how alike a person's losses are); ``mia_tpr_at_fpr_0.01``, ``mia_tpr_at_fpr_0.001``:
    membership attack, forget against test; ``mia_auc_validation``: forget against validation. ``forgetting_score``,
    ``nomus``: of the paper. ``loss_distance``: Kolmogorov-Smirnov, forget against test. ``overshoot``: 1 when forget
    losses lie above test's, by the means of people where it is known whose photos they are. Then there are those of
    :func:`~dlfd_ops.evaluation.people.person_metrics`, too.

    With an empty forget set only what the other sets say is left: of nobody there is nothing to recognise, and chance
    would read as a perfect result. A set that is not given has no metrics.

    Args:
        predictions: for "forget" and "test", and where there are for "retain" and "validation".
        section: number of attack splits, calibration bins, significance.
        seed: of the attack's subsampling and splits, and of the resamples.
        subjects: of "forget" and "test", the person of each photo.
        references: of models that never saw the forget set, and are not the one judged; read where there are subjects.

    Raises:
        BadInput: the test set, or one given as retain or validation, is empty, or a loss is not finite.
    """
    losses = {name: losses_of(found) for name, found in predictions.items()}
    attack = roc(losses["forget"], losses["test"])
    trials = attack_trials(losses["forget"], losses["test"], splits=section.attack_splits, seed=seed)
    metrics = {
        **_utility(predictions),
        "ece": expected_calibration_error(
            predictions["test"].confidence.numpy(), predictions["test"].hits.numpy(), bins=section.calibration_bins
        ),
        "mia_accuracy": trials.accuracy,
        "mia_auc": attack.auc,
        "mia_auc_error": auc_standard_error(attack.auc, len(losses["forget"]), len(losses["test"])),
        "mia_tpr_at_fpr_0.01": attack.tpr_at(0.01),
        "mia_tpr_at_fpr_0.001": attack.tpr_at(0.001),
    }
    if "validation" in losses:
        metrics["mia_auc_validation"] = roc(losses["forget"], losses["validation"]).auc
    metrics["forgetting_score"] = forgetting_score(metrics["mia_accuracy"])
    metrics["nomus"] = nomus(metrics["accuracy"], metrics["forgetting_score"])
    comparison = compare_losses(losses["forget"], losses["test"], alpha=section.overshoot_alpha)
    metrics["loss_distance"] = comparison.distance
    if subjects is not None:  # a person's photos are alike: as independent ones they would make it sure too soon
        forget, test = (subject_means(losses[name], subjects[name]).means for name in ATTACKED_SETS)
        comparison = compare_losses(forget, test, alpha=section.overshoot_alpha)
        metrics |= _certainty(attack.auc, losses["test"], subjects)
        metrics |= person_metrics(predictions, subjects, references, trials, seed=seed)
    metrics["overshoot"] = float(comparison.overshoot)
    if not len(predictions["forget"]):
        metrics = {name: metrics[name] for name in metrics if name.startswith("accuracy") or name in ("loss", "ece")}
    return ModelEvaluation(rounded(metrics), curves_of({name: losses[name] for name in ATTACKED_SETS}, attack))


def _certainty(auc: float, unseen: Losses, subjects: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the standard error of the attack's AUC by people, and how alike a person's photos are, if it is known."""
    likeness = loss_likeness(unseen, subjects["test"])
    error = auc_error_by_people(auc, subjects["forget"], subjects["test"], likeness)
    return {"mia_auc_error": error} | ({} if likeness is None else {"loss_likeness": likeness})


def rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics with the six decimals that are written, compared and recorded."""
    return {name: round(value, _DECIMALS) for name, value in metrics.items()}


def _utility(predictions: Mapping[str, Predictions]) -> dict[str, float]:
    metrics = {"accuracy": accuracy(predictions["test"])}
    metrics |= {f"accuracy_{name}": accuracy(predictions[name]) for name in OPTIONAL_SETS if name in predictions}
    metrics["loss"] = mean_loss(predictions["test"])
    if len(predictions["forget"]):
        metrics["accuracy_forget"] = accuracy(predictions["forget"])
        metrics["loss_forget"] = mean_loss(predictions["forget"])
    return metrics
