"""Prepared images in memory and on disk: the same pixels, and no more memory than there may be."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dlfd_ops.data.pixels import MEMORY_ENVIRONMENT, StoredPixels, _Memory, ahead, read_pixels
from dlfd_ops.data.png import to_png
from dlfd_ops.errors import BadInput

SIZE = 300
"""Four images of this side are just above a megabyte."""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Four noisy images on disk."""
    generator, found = np.random.default_rng(0), []
    for number in range(4):
        found.append(tmp_path / f"{number}.png")
        found[-1].write_bytes(to_png(generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)))
    return found


def test_stored_images_are_those_in_memory(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Any rows, in any order, repeated or none."""
    in_memory = read_pixels(files, SIZE)
    monkeypatch.setenv(MEMORY_ENVIRONMENT, "0")
    stored = read_pixels(files, SIZE)
    assert isinstance(in_memory, Tensor)
    assert isinstance(stored, StoredPixels)
    assert stored.shape == in_memory.shape
    for rows in (torch.tensor([3, 0, 3]), torch.tensor([], dtype=torch.int64), slice(1, 3), slice(2, 9), slice(None)):
        assert torch.equal(stored[rows], in_memory[rows])


def test_sets_share_the_memory_and_give_it_back(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit beside the sets that are held stays on disk; what is dropped makes room."""
    monkeypatch.setattr("dlfd_ops.data.pixels._MEMORY", _Memory())  # other tests of this process may hold images
    monkeypatch.setenv(MEMORY_ENVIRONMENT, "1")
    assert isinstance(read_pixels(files, SIZE), StoredPixels)
    held = read_pixels(files[:3], SIZE)
    assert isinstance(held, Tensor)
    view = held[1:]
    del held
    gc.collect()
    assert isinstance(read_pixels(files[:1], SIZE), StoredPixels), "the view still holds all of them"
    del view
    gc.collect()
    assert isinstance(read_pixels(files[:3], SIZE), Tensor)


def test_reading_ahead_keeps_the_order(files: list[Path]) -> None:
    """Every part comes once, in its turn."""
    stored = StoredPixels(files, SIZE)
    parts = [slice(0, 1), slice(1, 3), slice(3, 4)]
    assert torch.equal(torch.cat(list(ahead(stored, parts))), stored[:])
    assert list(ahead(stored, [])) == []


def test_a_broken_image_is_told_when_it_is_read(files: list[Path]) -> None:
    """Stored images are not looked at before; then the error is the user's, through the thread."""
    stored = StoredPixels([*files, files[0].with_name("gone.png")], SIZE)
    with pytest.raises(BadInput, match="readable"):
        list(ahead(stored, [slice(0, 2), slice(2, 5)]))
    with pytest.raises(BadInput, match="300 x 300"):
        StoredPixels(files, 64)[:]


@pytest.mark.parametrize("value", ["much", "-1", "1.5", ""])
def test_a_senseless_limit_is_refused(files: list[Path], value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named."""
    monkeypatch.setenv(MEMORY_ENVIRONMENT, value)
    with pytest.raises(BadInput, match=MEMORY_ENVIRONMENT):
        read_pixels(files, SIZE)
