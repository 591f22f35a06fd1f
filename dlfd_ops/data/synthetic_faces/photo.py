"""What changes from one photo of an invented person to the next: expression, pose, light, camera."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.random import Generator

from dlfd_ops.data.synthetic_faces.person import Colour, Person


@dataclass(frozen=True)
class Expression:
    """Movements of a face; each is about 1 at full strength, 0 at rest.

    Attributes:
        brow: brows up.
        brow_inner: inner ends of the brows up (negative: down and together).
        eyes: eyes wider (negative: narrower).
        smile: corners of the mouth up (negative: down).
        gape: mouth open.
        stretch: mouth wider (negative: rounder).
        lip_up: upper lip raised, nose wrinkled.
        press: lips pressed together.
    """

    brow: float = 0.0
    brow_inner: float = 0.0
    eyes: float = 0.0
    smile: float = 0.0
    gape: float = 0.0
    stretch: float = 0.0
    lip_up: float = 0.0
    press: float = 0.0

    def scaled(self, strength: float) -> Expression:
        """Return the same movements, each times ``strength``."""
        return Expression(*(strength * float(getattr(self, field.name)) for field in fields(self)))


EXPRESSIONS: dict[str, Expression] = {
    "surprise": Expression(brow=1.0, eyes=0.9, gape=1.0, stretch=-0.5),
    "fear": Expression(brow=0.7, brow_inner=0.8, eyes=1.0, smile=-0.5, gape=0.4, stretch=0.5),
    "disgust": Expression(brow=-0.5, brow_inner=-0.4, eyes=-0.6, smile=-0.5, gape=0.15, lip_up=1.0),
    "happiness": Expression(brow=0.1, eyes=-0.35, smile=1.0, gape=0.35, stretch=0.6),
    "sadness": Expression(brow=-0.1, brow_inner=1.0, eyes=-0.4, smile=-0.9),
    "anger": Expression(brow=-0.7, brow_inner=-1.0, eyes=-0.1, smile=-0.35, press=1.0),
    "neutral": Expression(),
}
"""The seven emotions by name, at full strength."""


@dataclass(frozen=True)
class Photo:
    """One photo of a person.

    Attributes:
        expression: movements of the face.
        yaw, pitch, roll: turn of the head, in radians; positive is to the right, down, clockwise.
        scale: head units to half the picture's side.
        shift: of the head's centre, in halves of the picture's side.
        gaze: of the pupils, in iris radii.
        light: direction towards the light (right, down, towards the viewer), of length 1.
        ambient: share of the light that comes from everywhere.
        tint: colour of the light.
        exposure: factor on the brightness.
        saturation: 0 is black and white, 1 is natural.
        backdrop, clothes: colours.
        glasses: whether they are worn in this photo.
        occluder: place, half size and angle of an object before the face, or None.
        blur: standard deviation of the focus blur, in pixels of a 64 pixel picture.
        grain: standard deviation of the sensor noise, in [0, 1].
        seed: of the background and of the noise.
    """

    expression: Expression
    yaw: float
    pitch: float
    roll: float
    scale: float
    shift: tuple[float, float]
    gaze: float
    light: tuple[float, float, float]
    ambient: float
    tint: Colour
    exposure: float
    saturation: float
    backdrop: Colour
    clothes: Colour
    glasses: bool
    occluder: tuple[float, float, float, float] | None
    blur: float
    grain: float
    seed: int


def draw_photo(rng: Generator, person: Person, expression: Expression) -> Photo:
    """Take a photo of ``person`` with this expression: invent its pose, light, background and defects."""
    warm = float(rng.normal(0, 0.05))
    forgets = rng.uniform() < (0.2 if person.glasses else 0.03)
    return Photo(
        expression=expression,
        yaw=float(np.clip(rng.normal(0, 0.22), -0.55, 0.55)),
        pitch=float(rng.normal(0, 0.09)),
        roll=float(rng.normal(0, 0.09)),
        scale=float(rng.uniform(0.67, 0.78)),
        shift=(float(rng.normal(0, 0.04)), float(rng.normal(0.03, 0.04))),
        gaze=float(rng.normal(0, 0.3)),
        light=_light(rng),
        ambient=float(rng.uniform(0.35, 0.65)),
        tint=(1 + warm, 1.0, 1 - warm),
        exposure=float(rng.uniform(0.92, 1.22)),
        saturation=0.0 if rng.uniform() < 0.03 else float(rng.uniform(0.75, 1.1)),
        backdrop=_colour(rng, 0.2, 0.85),
        clothes=_colour(rng, 0.08, 0.8),
        glasses=bool(person.glasses != forgets),
        occluder=_occluder(rng) if rng.uniform() < 0.05 else None,
        blur=float(min(rng.gamma(1.2, 0.22), 0.8)),
        grain=float(rng.uniform(0.006, 0.03)),
        seed=int(rng.integers(2**31)),
    )


def _light(rng: Generator) -> tuple[float, float, float]:
    right, down, towards = float(rng.normal(0, 0.45)), float(rng.uniform(-0.9, 0.1)), 0.9
    length = float(np.sqrt(right**2 + down**2 + towards**2))
    return right / length, down / length, towards / length


def _occluder(rng: Generator) -> tuple[float, float, float, float]:
    side = -1 if rng.uniform() < 0.5 else 1
    return (
        side * float(rng.uniform(0.3, 0.8)),
        float(rng.uniform(0.5, 1.0)),
        float(rng.uniform(0.2, 0.35)),
        float(rng.normal(0, 0.6)),
    )


def _colour(rng: Generator, low: float, high: float) -> Colour:
    red, green, blue = np.clip(rng.uniform(low, high) + rng.normal(0, 0.08, 3), 0, 1)
    return float(red), float(green), float(blue)
