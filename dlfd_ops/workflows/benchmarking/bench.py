"""What all cells of one benchmark share: the people, and the original and the retrained model of every seed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from pydantic import JsonValue

from dlfd_ops.data.images import LabelledImages, load_images
from dlfd_ops.data.manifest import Manifest, read_manifest
from dlfd_ops.deletion.forget_list import ForgetList, read_forget_list
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import Losses
from dlfd_ops.evaluation.people import losses_of
from dlfd_ops.evaluation.predictions import predict
from dlfd_ops.evaluation.report import EvaluationSets
from dlfd_ops.files import write_text
from dlfd_ops.models.checkpoint import load_classifier, save_classifier
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.params import BenchmarkSection, Params, with_overrides
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.workflows.benchmarking.cells import ORIGINAL
from dlfd_ops.workflows.benchmarking.targets import Targets, draw_targets
from dlfd_ops.workflows.evaluate import load_sets
from dlfd_ops.workflows.fitting import start_fit
from dlfd_ops.workflows.forgetting import UnlearningSets, build_objective, load_unlearning_sets
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout

if TYPE_CHECKING:
    from accelerate import Accelerator

SECONDS = "seconds.json"


@dataclass(frozen=True)
class Bench:
    """The people of a benchmark and where its models lie.

    Models lie with the resume checkpoints, outside of everything that DVC versions: they can be made again, and
    ``erase`` removes what lies there.

    Attributes:
        params: of the pipeline.
        root: of the repository.
        reference_losses: what the retrained model of a seed says of each set, as far as it was asked.
        unlearning_sets: by the share of anchor people whom no step sees, as far as they were read.
    """

    params: Params
    root: Path
    reference_losses: dict[int, dict[str, Losses]] = field(default_factory=dict, compare=False, repr=False)
    unlearning_sets: dict[float, UnlearningSets] = field(default_factory=dict, compare=False, repr=False)

    @property
    def section(self) -> BenchmarkSection:
        """The section ``benchmark``."""
        return self.params.benchmark

    @cached_property
    def layout(self) -> Layout:
        """Paths of the repository."""
        return Layout(self.root)

    @cached_property
    def accelerator(self) -> Accelerator:
        """Of this process."""
        return start_accelerator()

    @cached_property
    def manifest(self) -> Manifest:
        """All samples but those that an earlier version has forgotten: no model here is to know them.

        Its models are trained on what the pipeline's original was trained on.
        """
        earlier = set(self.forget_list.cumulative_ids) - set(self.forget_list.sample_ids)
        return read_known(self.layout, read_manifest(self.layout.manifest)).data.without(earlier)

    @cached_property
    def forget_list(self) -> ForgetList:
        """Who is to be forgotten.

        Raises:
            BadInput: nobody is.
        """
        found = read_forget_list(self.layout.forget_list)
        if not found.rows:
            raise BadInput(
                "a benchmark needs a forget list",
                received="an empty one",
                remedy="file deletion requests and run dvc repro forget_list",
            )
        return found

    @cached_property
    def data_digest(self) -> str:
        """Digest of the samples and of the forget list."""
        return sha256_json([self.manifest.digest(), self.forget_list.digest()])

    def sets_of(self, params: Params) -> UnlearningSets:
        """Return the images for the methods, cut as the section ``unlearn`` of ``params`` says; read once a cut."""
        share = params.unlearn.unseen_share
        if share not in self.unlearning_sets:
            self.unlearning_sets[share] = load_unlearning_sets(params, self.manifest, self.forget_list)
        return self.unlearning_sets[share]

    @cached_property
    def evaluation_sets(self) -> EvaluationSets:
        """Images for the judgement."""
        return load_sets(self.manifest, self.forget_list.sample_ids, self.params.base.labels)

    @cached_property
    def targets(self) -> Targets:
        """Whom the shadow models are about."""
        return draw_targets(self.manifest, self.forget_list.sample_ids, self.params.base.labels)

    def seeded(self, seed: int, settings: Mapping[str, JsonValue] | None = None) -> Params:
        """Return the parameters with another seed, and with the settings of a trial over the section ``unlearn``."""
        base = self.params.base.model_copy(update={"seed": seed})
        return self.params.model_copy(
            update={"base": base, "unlearn": with_overrides(self.params.unlearn, settings or {})}
        )

    def path(self, method: str, seed: int) -> Path:
        """Return the file of a cell."""
        return self.root / "metrics" / "benchmark" / f"{method}-{seed}.json"

    def model(self, kind: str, seed: int) -> tuple[Classifier, float]:
        """Return the ``original`` or ``retrained`` model of a seed and its seconds of training; trained where missing.

        Raises:
            BadInput: an image is missing, or a label does not fit.
        """
        params, train = self.seeded(seed), self.manifest.split("train")
        samples = train if kind == ORIGINAL else train.without(self.forget_list.sample_ids)
        key = sha256_json([kind, params.base.model_dump(), params.train.model_dump(), self.data_digest])
        return self.trained(params, samples, f"{kind}-{seed}", key)

    def folder(self, name: str, key: str) -> Path:
        """Return where a model of this name and this key is kept."""
        return self.layout.checkpoint("benchmark") / f"{name}-{key[:16]}"

    def trained(self, params: Params, samples: Manifest, name: str, key: str) -> tuple[Classifier, float]:
        """Return a kept model and its seconds of training; trained on ``samples`` where it is missing.

        Processes that need the same model at once train it once.

        Args:
            params: the sections ``base`` and ``train``.
            samples: to train on.
            name: of the model.
            key: digest of everything that it depends on, but for the code.

        Raises:
            BadInput: an image is missing, or a label does not fit.
        """
        folder = self.folder(name, key)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / SECONDS).exists():
                self._train(params, samples, name, key)
        seconds = json.loads((folder / SECONDS).read_text())
        return load_classifier(folder), float(seconds)

    def losses(self, model: Classifier, images: LabelledImages) -> Losses:
        """Return what a model loses on each of some images, (N,)."""
        batch_size, device = self.params.evaluate.batch_size, self.accelerator.device
        return losses_of(predict(model, images, batch_size=batch_size, device=device))

    def unlearn(self, model: Classifier, params: Params, sets: UnlearningSets) -> None:
        """Let ``model`` forget in place, as the section ``unlearn`` of ``params`` says.

        Raises:
            Diverged: a loss or a weight is not finite.
        """
        objective, loop = build_objective(params, sets, model, self.accelerator)
        # It takes a minute or so: an interrupted one starts over.
        loop = replace(loop, checkpoint_every=loop.num_steps)
        checkpoint = ResumeCheckpoint(self.layout.checkpoint("benchmark") / "trial", "")
        run_loop(self.accelerator, model, objective, loop, checkpoint=checkpoint, observer=SilentObserver())

    def _train(self, params: Params, samples: Manifest, name: str, key: str) -> None:
        folder, data = self.folder(name, key), load_images(samples, params.base.labels)
        model, objective, settings = start_fit(params, self.manifest, data, name, self.accelerator)
        checkpoint = ResumeCheckpoint(folder / "resume", key)
        seconds = run_loop(
            self.accelerator, model, objective, settings, checkpoint=checkpoint, observer=SilentObserver()
        )
        save_classifier(model, folder)
        write_text(folder / SECONDS, json.dumps(round(seconds, 3)) + "\n")
        checkpoint.clear()
