"""Resume checkpoints: safetensors and JSON, outside the stage's outputs (DVC deletes those before a run)."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dlfd_ops.files import write_text
from dlfd_ops.models.checkpoint import save_weights

_LOGGER = logging.getLogger(__name__)
_MOMENTUM = "momentum_buffer"


class ResumeCheckpoint:
    """The newest state of a run, in a folder of its stage, with the key of the run's inputs.

    The tensors are written before the JSON that points at them, each in one rename, so a kill at any moment leaves
    the older state or the newer one.

    Args:
        folder: where it lies.
        key: digest of the run's inputs, of the parameters and the data but not of the code; it stands in
            ``state.json``, and a checkpoint of another key is ignored.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key

    def save(self, step: int, model: nn.Module, optimizer: torch.optim.SGD, extra: dict[str, Tensor]) -> None:
        """Replace the checkpoint by the state after ``step`` optimiser steps."""
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        tensors |= {f"momentum.{index}": tensor for index, tensor in _momentum(optimizer).items()}
        tensors |= {f"extra.{name}": tensor for name, tensor in extra.items()}
        name = f"step-{step}.safetensors"
        save_weights(tensors, self._folder / name, mode=0o600)
        state = {"key": self._key, "step": step, "tensors": name}
        write_text(self._folder / "state.json", json.dumps(state) + "\n", mode=0o600)
        for old in self._folder.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()

    def load(self, model: nn.Module, optimizer: torch.optim.SGD) -> tuple[int, dict[str, Tensor]]:
        """Restore the newest state into ``model`` and ``optimizer``; one that does not fit them is left aside.

        Returns:
            The optimiser steps already done (0 when there is nothing to resume) and the extra tensors.
        """
        state = self._state()
        if state is None:
            return 0, {}
        step, tensors = state
        weights, momentum = _section(tensors, "model."), _section(tensors, "momentum.")
        parameters = {str(index): parameter for index, parameter in enumerate(_parameters(optimizer))}
        fits = _shapes(weights) == _shapes(model.state_dict())
        if not fits or not _shapes(momentum).items() <= _shapes(parameters).items():
            # The key knows nothing of the code that builds the model, which may be another one by now.
            _LOGGER.warning("the checkpoint in %s is of another model: the run starts over", self._folder)
            return 0, {}
        model.load_state_dict(weights)
        for index, buffer in momentum.items():
            parameter = parameters[index]
            # In the parameter's own memory layout, as the optimiser made it.
            optimizer.state[parameter][_MOMENTUM] = torch.empty_like(parameter).copy_(buffer)
        return step, _section(tensors, "extra.")

    def clear(self) -> None:
        """Remove the checkpoint: the run is complete."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _state(self) -> tuple[int, dict[str, Tensor]] | None:
        try:
            state = json.loads((self._folder / "state.json").read_text())
            if state["key"] != self._key:
                return None
            return int(state["step"]), load_file(self._folder / Path(state["tensors"]).name)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            # A damaged or missing checkpoint costs time, not correctness: the run starts over.
            return None


def _momentum(optimizer: torch.optim.SGD) -> dict[int, Tensor]:
    buffers = ((index, optimizer.state[each].get(_MOMENTUM)) for index, each in enumerate(_parameters(optimizer)))
    return {index: buffer for index, buffer in buffers if buffer is not None}


def _parameters(optimizer: torch.optim.SGD) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {key: tensor.shape for key, tensor in tensors.items()}


def _section(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
