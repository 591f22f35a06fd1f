"""The training loop: it learns, it resumes to the same result, and it says what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.errors import Diverged
from dlfd_ops.models.classifier import FaceClassifier, Precision
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import LoopSettings, StepLoss, cosine_rate, run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.training.supervised import SupervisedObjective

STEPS = 6
SETTINGS = LoopSettings(
    title="test",
    num_steps=STEPS,
    steps_per_epoch=3,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=1e-4,
    gradient_clip=1.0,
    checkpoint_every=2,
    seed=0,
    precision="float32",
)

needs_bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="needs a processor with bfloat16"
)


class Recorder(SilentObserver):
    """Keeps what the loop tells."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.epochs: list[int] = []

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the step."""
        self.steps.append(step)

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Keep the epoch."""
        self.epochs.append(epoch)


class PowerCut(SupervisedObjective):
    """Fails at a step, as a killed process would."""

    fail_at = -1

    def step_loss(self, model: nn.Module, step: int) -> StepLoss:
        """Raise at the step, else go on."""
        if step == self.fail_at:
            raise KeyboardInterrupt
        return super().step_loss(model, step)


def supervised(data: LabelledImages) -> PowerCut:
    """Return the objective of the tests; dropout and flips are on, so randomness matters."""
    return PowerCut(data, BatchPlan(len(data), 8, 0), flip=True, device=torch.device("cpu"), rank=0, num_processes=1)


def weights(model: nn.Module) -> torch.Tensor:
    """Return all parameters and buffers as one vector."""
    return torch.cat([tensor.detach().double().flatten() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_a_resumed_run_ends_where_an_unbroken_one_does(
    tmp_path: Path,
    make_images: Callable[..., LabelledImages],
    make_classifier: Callable[..., FaceClassifier],
    precision: Precision,
) -> None:
    """Cut between two checkpoints, a second run gives bit for bit the same weights, in either number format."""
    data, settings = make_images(24), replace(SETTINGS, precision=precision)
    unbroken = make_classifier()
    run_loop(
        start_accelerator(),
        unbroken,
        supervised(data),
        settings,
        checkpoint=ResumeCheckpoint(tmp_path / "a", "k"),
        observer=Recorder(),
    )
    cut, checkpoint = supervised(data), ResumeCheckpoint(tmp_path / "b", "k")
    cut.fail_at = 5
    with pytest.raises(KeyboardInterrupt):
        run_loop(start_accelerator(), make_classifier(), cut, settings, checkpoint=checkpoint, observer=Recorder())
    resumed, recorder = make_classifier(seed=99), Recorder()
    run_loop(start_accelerator(), resumed, supervised(data), settings, checkpoint=checkpoint, observer=recorder)
    assert torch.equal(weights(resumed), weights(unbroken))
    assert recorder.steps == [6]
    assert recorder.epochs == [2]


def test_a_checkpoint_of_other_inputs_is_not_resumed(
    tmp_path: Path, make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """Another key starts from the beginning."""
    cut = supervised(make_images(24))
    cut.fail_at = 5
    with pytest.raises(KeyboardInterrupt):
        run_loop(
            start_accelerator(),
            make_classifier(),
            cut,
            SETTINGS,
            checkpoint=ResumeCheckpoint(tmp_path, "old"),
            observer=SilentObserver(),
        )
    model = make_classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    assert ResumeCheckpoint(tmp_path, "old").load(model, optimizer)[0] == 4
    assert ResumeCheckpoint(tmp_path, "new").load(model, optimizer) == (0, {})


def test_a_damaged_checkpoint_costs_time_only(tmp_path: Path, make_classifier: Callable[..., FaceClassifier]) -> None:
    """Torn JSON or torn tensors mean a fresh start."""
    model = make_classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    checkpoint = ResumeCheckpoint(tmp_path, "k")
    checkpoint.save(4, model, optimizer, {})
    (tmp_path / "step-4.safetensors").write_bytes(b"torn")
    assert checkpoint.load(model, optimizer) == (0, {})
    (tmp_path / "state.json").write_text("{")
    assert checkpoint.load(model, optimizer) == (0, {})


def test_a_checkpoint_of_another_model_is_left_aside(
    tmp_path: Path, make_classifier: Callable[..., FaceClassifier], caplog: pytest.LogCaptureFixture
) -> None:
    """Where the code that builds the model has changed, the run starts over with its own weights and says so."""
    saved, model = make_classifier(), make_classifier(classes=3, seed=1)
    checkpoint = ResumeCheckpoint(tmp_path, "k")
    checkpoint.save(4, saved, torch.optim.SGD(saved.parameters(), lr=0.1, momentum=0.9), {})
    before = weights(model)
    assert checkpoint.load(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)) == (0, {})
    assert torch.equal(weights(model), before)
    assert "starts over" in caplog.text


def test_a_checkpoint_holds_tied_weights(tmp_path: Path) -> None:
    """A module whose layers share a tensor is saved and restored like any other."""

    def tied(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        model[1].weight = model[0].weight
        return model

    saved, model = tied(0), tied(1)
    checkpoint = ResumeCheckpoint(tmp_path, "k")
    checkpoint.save(4, saved, torch.optim.SGD(saved.parameters(), lr=0.1), {})
    assert checkpoint.load(model, torch.optim.SGD(model.parameters(), lr=0.1)) == (4, {})
    assert torch.equal(weights(model), weights(saved))


def test_checkpoints_hold_no_pickle_and_are_private(
    tmp_path: Path, make_classifier: Callable[..., FaceClassifier]
) -> None:
    """Only safetensors and JSON, readable by their owner alone; older states go."""
    model = make_classifier()
    checkpoint = ResumeCheckpoint(tmp_path, "k")
    for step in (2, 4):
        checkpoint.save(step, model, torch.optim.SGD(model.parameters(), lr=0.1), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.json", "step-4.safetensors"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


class Ruined(SupervisedObjective):
    """Has a loss that is no number in its second step, or breaks a weight after the last one."""

    def __init__(self, data: LabelledImages, where: str) -> None:
        plan = BatchPlan(len(data), 8, 0)
        super().__init__(data, plan, flip=False, device=torch.device("cpu"), rank=0, num_processes=1)
        self._where = where

    def step_loss(self, model: nn.Module, step: int) -> StepLoss:
        """Return the loss, spoilt in one step."""
        result = super().step_loss(model, step)
        spoilt = self._where == "loss" and step == 1
        return StepLoss(result.loss * float("nan"), {}) if spoilt else result

    def finish(self, model: nn.Module) -> None:
        """Break a weight."""
        if self._where == "weight":
            next(model.parameters()).data[0] = float("inf")


@pytest.mark.parametrize(("where", "said"), [("loss", "a loss of nan in step 3 of 6"), ("weight", "weights")])
def test_a_run_that_diverges_is_refused(
    tmp_path: Path,
    make_images: Callable[..., LabelledImages],
    make_classifier: Callable[..., FaceClassifier],
    where: str,
    said: str,
) -> None:
    """At the next loss that is logged, and at the latest before its weights are used."""
    objective, checkpoint = Ruined(make_images(24), where), ResumeCheckpoint(tmp_path, "k")
    with pytest.raises(Diverged, match=said):
        run_loop(
            start_accelerator(),
            make_classifier(),
            objective,
            SETTINGS,
            checkpoint=checkpoint,
            observer=SilentObserver(),
        )


def test_cosine_rate_goes_from_the_largest_to_zero() -> None:
    """At the start the largest, half way the half, at the end zero."""
    assert [cosine_rate(step, 10, 0.2) for step in (0, 5, 10)] == pytest.approx([0.2, 0.1, 0.0])
