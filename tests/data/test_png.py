"""PNG files: any reader finds the pixels, and nothing beside them."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dlfd_ops.data.png import to_png


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 1000), smooth=st.booleans())
def test_another_reader_finds_the_same_pixels(height: int, width: int, seed: int, *, smooth: bool) -> None:
    """Pillow decodes what was encoded, pixel for pixel, and finds no further information."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if smooth:
        pixels = np.cumsum(pixels // 64, axis=1, dtype=np.uint8)
    with Image.open(io.BytesIO(to_png(pixels))) as image:
        image.verify()
    with Image.open(io.BytesIO(to_png(pixels))) as image:
        assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
        assert np.array_equal(np.asarray(image), pixels)


def test_a_flat_picture_is_small() -> None:
    """The filter and the run lengths compress what there is to compress."""
    assert len(to_png(np.full((96, 96, 3), 77, dtype=np.uint8))) < 500
