"""The brush: smooth shapes over a field of numbers, and blending colours into a picture.

Falloffs and waves are polynomials: fast, and their values hardly depend on the machine's mathematics library.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.data.synthetic_faces.person import Colour

Field = NDArray[np.float64]
"""(H, W), one value a pixel."""
Canvas = NDArray[np.float64]
"""(3, H, W): red, green and blue in [0, 1]."""
TURN = 6.283185307179586


def bump(across: Field, down: Field, width: float, height: float) -> Field:
    """Return a smooth hill of height 1 at the origin, 0 outside the ellipse of half axes ``width``, ``height``."""
    inside = across * (1 / width)
    inside *= inside
    second = down * (1 / height)
    second *= second
    return _falloff(np.add(inside, second))


def stroke(distance: Field, width: float) -> Field:
    """Return a smooth line: 1 where ``distance`` is 0, 0 beyond ``width`` on both sides."""
    inside = distance * (1 / width)
    inside *= inside
    return _falloff(inside)


def _falloff(squared: Field) -> Field:
    """Turn squared distances into (1 - d^2)^2 within distance 1 and 0 beyond, in place."""
    np.subtract(1, squared, out=squared)
    np.maximum(squared, 0, out=squared)
    squared *= squared
    return squared


def ramp(values: Field, low: float, high: float) -> Field:
    """Return 0 below ``low``, 1 above ``high`` and a smooth climb between; ``high`` may be below ``low``."""
    share = _clipped((values - low) * (1 / (high - low)))
    slope = 3 - 2 * share
    share *= share
    share *= slope
    return share


def wave(phase: Field) -> Field:
    """Return a wave of period 2 pi between -1 and 1, within 0.002 of the sine."""
    arc = phase * (1 / TURN)
    arc -= np.rint(arc)
    for linear, bent in ((8, -16), (0.775, 0.225)):
        factor = np.abs(arc)
        factor *= bent
        factor += linear
        arc *= factor
    return arc


def edge(values: Field, width: float) -> Field:
    """Return coverage from a signed distance: 0 well below zero, 1 well above, a line of ``width`` between."""
    share = values * (1 / width)
    share += 0.5
    return _clipped(share)


def _clipped(values: Field) -> Field:
    """Bring values into [0, 1], in place."""
    np.minimum(values, 1, out=values)
    np.maximum(values, 0, out=values)
    return values


def scaled(colour: Colour, factor: float) -> Colour:
    """Return a darker (or lighter) colour, each channel at most 1."""
    red, green, blue = (min(factor * channel, 1.0) for channel in colour)
    return red, green, blue


def shaded(colour: Colour, light: Field) -> Canvas:
    """Return a picture of one colour under ``light``."""
    return np.asarray(np.array(colour)[:, None, None] * light)


def blend(canvas: Canvas, colour: Colour | Canvas, share: Field) -> None:
    """Paint ``colour`` over ``canvas`` in place, opaque where ``share`` is 1."""
    for index, value in enumerate(colour):
        change = value - canvas[index]
        change *= share
        canvas[index] += change
