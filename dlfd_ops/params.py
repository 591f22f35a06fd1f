"""Typed mirror of ``params.yaml``: one section a stage, frozen, unknown keys refused.

A stage reads its own section and ``base`` only, as ``dvc.yaml`` declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveFloat, ValidationError, model_validator

from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded

MAX_PARAMS_BYTES = 1 << 20
YARDSTICKS = ("original", "retrained")
"""Rows of every benchmark: before unlearning, and trained without the forget list."""

Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
FactoryName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", max_length=500)]
LabelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Section(BaseModel):
    """Base of all sections."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseSection(Section):
    """What every stage shares."""

    dataset: Name
    """Name of the data set: names the MLflow experiment ``dlfd-<dataset>``."""
    labels: Annotated[tuple[LabelName, ...], Field(min_length=1, max_length=32)]
    """Label columns to predict: one is a single-label task (softmax), several are binary labels at once (sigmoid)."""
    image_size: Annotated[int, Field(ge=16, le=512)]
    """Side of the square prepared images, in pixels."""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    """Seed of the split, the initial weights and the order of the batches."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """How training and unlearning compute the trunk of a model; weights, losses, transport and evaluation are float32
    always. ``bfloat16`` is about twice as fast where the device has it, and refused elsewhere."""


class Splits(Section):
    """Shares of the subjects; they sum to one."""

    train: Annotated[float, Field(gt=0, lt=1)]
    anchor: Annotated[float, Field(gt=0, lt=1)]
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.anchor + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the four shares must sum to 1, received {total:.6g}")
        return self


class PrepareSection(Section):
    """From a source of face images to the manifest and the prepared images."""

    source: Literal["synthetic", "manifest_csv", "image_folder", "mufac", "raf_db", "celeba", "utkface", "lfw"]
    """Adapter that reads the source's published layout."""
    columns: dict[Literal["image", "subject_id", "split", "sha256"], Annotated[str, Field(min_length=1)]] = {}
    """The columns of a ``manifest_csv`` that have other names there: ours -> the table's."""
    classes: dict[LabelName, Annotated[tuple[str, ...], Field(min_length=2, max_length=1000)]] = {}
    """Class names of a label in the order of the original's outputs, where it is not the order of the source."""
    root: Annotated[str, Field(min_length=1, max_length=4096)]
    """Folder of the source; relative to the repository, or outside of it."""
    split_by: Literal["subject", "source"]
    """``subject``: shares drawn by subject with the seed. ``source``: the published train/validation/test parts;
    people for the parts that it does not publish are then taken as ``draw_from`` says."""
    draw_from: Literal["train", "held_out"] = "train"
    """Whose people become the parts that the source does not publish, usually the anchor. ``train``: those of train,
    whom the stage ``train`` then leaves out. ``held_out``: those of validation (of test, where there is none), for an
    original that was trained elsewhere on all of train."""
    splits: Splits
    on_bad_image: Literal["error", "skip"]
    """A missing, truncated, oversized or undecodable image stops the stage, or is skipped, counted and reported."""
    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    """Largest image decoded, in megapixels (decompression bombs)."""
    max_file_megabytes: Annotated[float, Field(gt=0, le=1000)]
    """Largest image file read, in megabytes."""

    @model_validator(mode="after")
    def _columns_of_a_table(self) -> Self:
        if self.columns and self.source != "manifest_csv":
            raise ValueError("prepare.columns belongs to the source manifest_csv")
        return self


class FactorySection(Section):
    """A model that the code of the repository builds."""

    layer: Annotated[str, Field(min_length=1, max_length=500)]
    """Name of the submodule that the features are taken at, as in ``named_modules()``."""
    side: Literal["input", "output"]
    """Whether the features are what goes into that layer or what comes out of it."""
    arguments: dict[str, JsonValue]
    """Keyword arguments of the factory."""
    mean: tuple[float, float, float]
    """Of each colour channel, for pixel values in [0, 1]: subtracted before the model sees an image."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Of each colour channel, for pixel values in [0, 1]: divided by before the model sees an image."""
    weights: Annotated[str, Field(min_length=1, max_length=4096)] | None
    """Safetensors file with the original's weights, relative to ``params.yaml``: the original is taken from there. Null
    trains it."""
    origin: Annotated[str, Field(max_length=500)] | None
    """Where these weights come from, for the record: ``models:/NAME/VERSION`` or a file."""


class TrainSection(Section):
    """Training of the original and of the retrained model: the same recipe for both."""

    architecture: Literal["resnet18", "densenet121", "efficientnet_b0"] | FactoryName
    """One of ours, or a factory ``package.module:function`` in a Python file of the repository."""
    factory: FactorySection | None = None
    """What belongs to a factory; stands beside one, and only there."""
    epochs: Annotated[int, Field(ge=1, le=1000)]
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Images an optimiser step, over all processes together."""
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Largest rate of the SGD; cosine to zero over the run."""
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    augmentation: Literal["none", "flip"]
    checkpoint_every: Annotated[int, Field(ge=1)]
    """Epochs between two resume checkpoints."""

    @model_validator(mode="after")
    def _factory_beside_its_name(self) -> Self:
        if (":" in self.architecture) != (self.factory is not None):
            raise ValueError("architecture package.module:function and the section factory stand together")
        return self


class ForgetListSection(Section):
    """Resolution of open requests to samples."""

    max_share: Annotated[float, Field(gt=0, lt=1)]
    """Largest share of the training samples that one unlearning may forget; more calls for retraining."""


class ProbeSection(Section):
    """The forgetting probe that drives the dynamic schedule: forget set against validation set."""

    every: Annotated[int, Field(ge=1)]
    """Optimiser steps between two probes."""
    threshold: Annotated[float, Field(ge=0, le=0.5)]
    """The push to forget runs while the probe's forgetting score is above this."""
    images: Annotated[int, Field(ge=16)]
    """Largest number of images taken from each of the two sets."""


class SinkhornSection(Section):
    """Entropic optimal transport."""

    epsilon: Annotated[float, Field(gt=0, le=10)]
    """Entropic regularisation, in units of the cost (cosine distance: 0 to 2)."""
    max_iterations: Annotated[int, Field(ge=1, le=10000)]
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    """Largest L1 violation of the marginals that counts as converged."""


class LinearWeight(Section):
    """A weight that moves linearly over the epoch."""

    start: Annotated[float, Field(ge=0)]
    end: Annotated[float, Field(ge=0)]


class PaperSection(Section):
    """DLFD as the paper states it: perturb retain images away from the forget features."""

    steps: Annotated[int, Field(ge=1, le=100)]
    """K, sign-gradient steps a batch."""
    step_size: Annotated[float, Field(gt=0, le=1)]
    """Size of a step, in pixel values of [0, 1]."""
    bound: Annotated[float, Field(gt=0, le=1)]
    """Largest change of a pixel, in pixel values of [0, 1]."""
    transport_weight: Annotated[float, Field(ge=0)]
    """lambda_ot of the objective."""
    classification_weight: LinearWeight
    """w(t) of the objective."""


class AnchoredSection(Section):
    """DLFD anchored on unseen people: move the predictions on the forget people onto theirs."""

    retain_weight: Annotated[float, Field(ge=0)]
    """Weight of the original's predictions on the retain set."""
    anchor_weight: Annotated[float, Field(ge=0)]
    """Weight of the original's predictions on unseen people."""
    forget_weight: Annotated[float, Field(ge=0)]
    """Weight of the transported predictions on the forget set."""
    difficulty_weight: Annotated[float, Field(ge=0)]
    """Weight of the difference in difficulty (0 to 1) beside the cosine distance, in the transport's cost."""
    refresh_every: Annotated[int, Field(ge=1)]
    """Optimiser steps after which the model in the making is asked anew about the partners."""
    batch_norm: Literal["moving", "frozen"]
    """``moving``: batch statistics in a step, running ones follow. ``frozen``: the original's statistics throughout;
    processes then agree exactly, and the learning rate must be about ten times smaller."""


class PublishedSection(Section):
    """DLFD as the released code of the paper's authors does it; the defaults are their settings for age groups."""

    steps: Annotated[int, Field(ge=1, le=100)] = 15
    """K, sign-gradient steps a batch."""
    step_size: Annotated[float, Field(gt=0, le=10)] = 0.4
    """Size of a step, in normalised pixel values (divided by the standard deviation); there is no bound."""
    transport_weight: Annotated[float, Field(ge=0)] = 3.0
    """Of the transport, which has no effect there."""
    classification_weight: LinearWeight = LinearWeight(start=0.0, end=1.0)
    """w(t) of the objective."""
    epsilon: Annotated[float, Field(gt=0, le=10)] = 0.01
    """Entropic regularisation, in units of the cosine distance (0 to 2)."""
    iterations: Annotated[int, Field(ge=1, le=10000)] = 50
    """Largest number of Sinkhorn iterations."""


class DlfdSection(Section):
    """Distribution-Level Feature Distancing."""

    variant: Literal["anchored", "paper", "published"]
    features: Literal["penultimate", "logits"]
    """Where the transport measures; ``published`` always takes the logits."""
    sinkhorn: SinkhornSection
    anchored: AnchoredSection
    paper: PaperSection
    published: PublishedSection = PublishedSection()


class NegGradPlusSection(Section):
    """NegGrad+: descent on the retain set and ascent on the forget set together."""

    retain_share: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Weight of the descent; one minus it is that of the ascent."""


class LastLayersSection(Section):
    """CF-k or EU-k: train the last layers only."""

    layers: Annotated[int, Field(ge=1, le=10000)] = 3
    """k: how many layers train, counted from the output; a layer is a module with parameters of its own. 3 is the whole
    head of our classifiers."""


class UnsirSection(Section):
    """UNSIR: noise that maximises the error, impair, repair."""

    noise_images: Annotated[int, Field(ge=1, le=65536)] = 256
    """Largest number of noise images learnt."""
    noise_steps: Annotated[int, Field(ge=0, le=10000)] = 40
    """Adam steps that learn the noise."""
    noise_rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Learning rate of these, in normalised pixel values."""
    noise_penalty: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the noise's Euclidean norm, against its loss in nats."""
    impair_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the run that impairs; the rest repairs."""


class ScrubSection(Section):
    """SCRUB with rewind: away from the original on the forget set, toward it on the retain set, in turns."""

    rounds: Annotated[int, Field(ge=1, le=100)] = 5
    """Rounds of the run; the model at the end of each is a candidate for the rewind."""
    max_rounds: Annotated[int, Field(ge=0, le=100)] = 3
    """Rounds, the first ones, that begin with a max phase."""
    max_share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of such a round's steps that belong to its max phase."""
    divergence_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the divergence from the original on the retain set."""
    classification_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the loss on the retain set."""


class SalunSection(Section):
    """SalUn: wrong labels for the forget set, taught to the salient weights only."""

    salient_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the weights that may move: those with the largest gradient of the forget loss."""
    retain_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the loss on the retain set."""


class L1SparseSection(Section):
    """l1-sparse: fine-tuning under a penalty on the weights' absolute values."""

    penalty: Annotated[float, Field(ge=0, le=1)] = 5e-4
    """Mean weight of the l1 norm over the run, in nats; it falls linearly from twice that to zero."""


class UnlearnSection(Section):
    """The unlearning run: about one epoch over the retain set."""

    method: Literal[
        "dlfd",
        "retrain",
        "fine_tune",
        "neg_grad",
        "neg_grad_plus",
        "cf_k",
        "eu_k",
        "unsir",
        "bad_teacher",
        "scrub",
        "salun",
        "l1_sparse",
    ]
    epochs: Annotated[int, Field(ge=1, le=100)]
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Retain images an optimiser step, over all processes together."""
    forget_batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Forget images an optimiser step, over all processes together."""
    anchor_batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Anchor images an optimiser step, over all processes together."""
    unseen_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the anchor people whom no step sees: they show how the model in the making treats strangers."""
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Largest rate of the SGD; cosine to zero over the run."""
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    gradient_clip: Annotated[float, Field(gt=0)]
    """Largest norm of the gradient."""
    checkpoint_every: Annotated[int, Field(ge=1)]
    """Optimiser steps between two resume checkpoints."""
    probe: ProbeSection
    dlfd: DlfdSection
    neg_grad_plus: NegGradPlusSection = NegGradPlusSection()
    cf_k: LastLayersSection = LastLayersSection()
    eu_k: LastLayersSection = LastLayersSection()
    unsir: UnsirSection = UnsirSection()
    scrub: ScrubSection = ScrubSection()
    salun: SalunSection = SalunSection()
    l1_sparse: L1SparseSection = L1SparseSection()


class RelearnSection(Section):
    """Plain training on the forget set, to see how fast it comes back."""

    accuracy: Annotated[float, Field(gt=0, le=1)]
    """Accuracy on the forget set at which it counts as known again: about the original's on its training images."""
    max_steps: Annotated[int, Field(ge=1, le=100_000)]
    """Optimiser steps after which it counts as not come back."""
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Of the SGD; constant."""


class EvaluateSection(Section):
    """Utility, forgetting and calibration of the models."""

    batch_size: Annotated[int, Field(ge=1, le=65536)]
    attack_splits: Annotated[int, Field(ge=2, le=100)]
    """Stratified shuffle splits of the membership attack."""
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    overshoot_alpha: Annotated[float, Field(gt=0, lt=0.5)]
    """Significance of the one-sided test that forget losses lie above unseen losses."""
    references: Annotated[int, Field(ge=0, le=4)] = 0
    """Models that the stage ``retrain`` trains beside the retrained one, with other seeds, for the attacks on single
    photos (RMIA, calibrated loss). Each costs a retraining."""
    relearn: RelearnSection | None = None
    """Null: relearn time is not measured."""


class Policy(Section):
    """Limits of the gate; a null limit switches its rule off. Nothing is converted: ``true`` is no limit of 1."""

    model_config = ConfigDict(strict=True)

    max_accuracy_drop: Probability | None
    """Largest test accuracy lost against the original."""
    max_attack_auc_excess: Annotated[float, Field(ge=0, le=0.5)] | None
    """Largest distance of the attack's AUC above the retrained model's, or above 0.5 where none was trained."""
    max_overshoot: Annotated[float, Field(ge=0, le=0.5)] | None
    """Largest distance of the attack's AUC below the retrained model's, or below 0.5 where none was trained."""
    max_attack_auc_error: Annotated[float, Field(gt=0, le=0.5)] | None
    """Largest standard error of the two above: fewer photos than it takes are too few to judge by (about 20 photos to
    forget give 0.066, 35 give 0.050, 100 give 0.030)."""
    max_calibrated_auc_excess: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Largest distance of the calibrated attack's AUC above the retrained model's; needs ``evaluate.references``."""
    min_nomus: Probability | None
    """Least NoMUS of the unlearned model."""
    max_sequential_unlearnings: Annotated[int, Field(ge=1, le=1000)] | None
    """Most unlearnings, one upon the other, since the last training; more calls for training a new original."""
    min_evidence: Literal["present", "signed"] | None
    """``present``: the numbers are those of these weights, these data. ``signed``: they will be signed as well."""
    require_complete: bool
    """Whether every open request that the parent does not cover must be on the forget list with all its training
    samples, and all of that list in the evaluation."""


class RegisterSection(Section):
    """Registration in MLflow and the policy that a version must pass."""

    model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$")]
    policy: Policy


class AuditSection(Section):
    """The compliance report."""

    due_soon_days: Annotated[int, Field(ge=0, le=365)]
    """An open request due within this many days is marked as due soon."""


class EraseSection(Section):
    """What ``dlfd-ops erase`` removes, beside the data of the fulfilled requests; no stage reads it."""

    outside_source: Literal["keep", "remove"] = "keep"
    """Raw photos in a ``prepare.root`` outside of the repository: listed as not reached, or removed there too."""
    older_revisions: Literal["remove", "keep"] = "remove"
    """What DVC stores of older data and names erased photos (listings, tables): without it, older revisions cannot be
    checked out; kept, it is residue."""
    older_models: Literal["remove", "keep"] = "remove"
    """Weights of versions that knew an erased person."""
    ground: Literal["legal_obligation", "legal_claims", "public_interest", "scientific_research"] | None = None
    """Why older revisions or models are kept; it stands in every receipt."""

    @model_validator(mode="after")
    def _keeping_needs_a_ground(self) -> Self:
        if self.ground is None and "keep" in (self.older_revisions, self.older_models):
            raise ValueError("a ground must be given for what is kept")
        return self


class BenchmarkSection(Section):
    """Methods side by side, on the pipeline's data and forget list."""

    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1, max_length=20)]
    """One original and one retrained model each: of the initial weights, the batches and the draws of the methods."""
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    """Names of the rows, in their order: ``original`` and ``retrained`` as yardsticks, and keys of ``trials``."""
    trials: dict[Name, Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1, max_length=16)]]
    """The settings that a method may choose from on the validation people: dotted keys of the section ``unlearn`` ->
    values, over the ones that stand there."""
    shadows: Annotated[int, Field(ge=0, le=64)] = 0
    """Pairs of shadow models for the attack U-LiRA, 0 or at least 2. Each costs two trainings, and two unlearnings a
    method; 0 leaves the attack out."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if sorted(self.methods) != sorted([*YARDSTICKS, *self.trials]):
            raise ValueError(
                f"benchmark.methods must list {', '.join(YARDSTICKS)} and every key of benchmark.trials once"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ")
        if self.shadows == 1:
            raise ValueError("shadows must be 0 or at least 2: one pair has no spread")
        return self


class Params(Section):
    """The whole of ``params.yaml``."""

    base: BaseSection
    prepare: PrepareSection
    train: TrainSection
    forget_list: ForgetListSection
    unlearn: UnlearnSection
    evaluate: EvaluateSection
    register_: RegisterSection = Field(alias="register")
    audit: AuditSection
    erase: EraseSection = EraseSection()
    benchmark: BenchmarkSection

    @model_validator(mode="after")
    def _trials_are_settings(self) -> Self:
        for method, trials in self.benchmark.trials.items():
            for trial in trials:
                try:
                    with_overrides(self.unlearn, trial)
                except ValidationError as error:
                    problem = error.errors()[0]
                    where = ".".join(str(part) for part in problem["loc"])
                    raise ValueError(f"benchmark.trials.{method}: unlearn.{where}: {problem['msg']}") from error
        return self


def with_overrides(section: UnlearnSection, overrides: Mapping[str, JsonValue]) -> UnlearnSection:
    """Return ``section`` with other values under dotted keys, such as ``dlfd.sinkhorn.epsilon``.

    Raises:
        ValidationError: a key is unknown, or a value breaks its rule.
    """
    values = section.model_dump()
    for key, value in overrides.items():
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            inner = place.get(parent)
            place[parent] = place = inner if isinstance(inner, dict) else {}
        place[last] = value
    return UnlearnSection.model_validate(values)


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate ``params.yaml``.

    Raises:
        BadInput: the file is missing, is no YAML, or breaks a rule; the first broken rule is named with its key.
    """
    content = read_bounded(path, max_bytes=MAX_PARAMS_BYTES, what=path.name)
    try:
        values = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path.name} must be YAML", received=str(error).splitlines()[0], remedy="correct its syntax"
        ) from error
    return check_params(values, path.name)


def check_params(values: object, what: str) -> Params:
    """Validate what a ``params.yaml`` holds.

    Args:
        values: the mapping of its sections.
        what: how to name it in an error.

    Raises:
        BadInput: a rule is broken; the first one is named with its key.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise _first_problem(what, error) from error


def _first_problem(what: str, error: ValidationError) -> BadInput:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    more = f" ({error.error_count() - 1} more problems)" if error.error_count() > 1 else ""
    return BadInput(
        f"{what}: {key}: {problem['msg']}",
        received=f"{problem['input']!r:.80}",
        remedy=f"correct this key{more}",
    )
