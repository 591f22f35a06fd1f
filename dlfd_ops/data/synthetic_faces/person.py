"""Invented people: what all photos of one subject share.

Lengths are in head units: the crown is at -1, the chin at +1, a face is about 0.7 wide on each side. Heights are
measured downwards from the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_SKINS = ((0.97, 0.83, 0.75), (0.91, 0.73, 0.61), (0.82, 0.62, 0.47), (0.66, 0.46, 0.33), (0.49, 0.33, 0.24))
_HAIRS = ((0.86, 0.70, 0.42), (0.62, 0.30, 0.14), (0.45, 0.29, 0.17), (0.27, 0.17, 0.11), (0.10, 0.08, 0.08))
_IRISES = ((0.38, 0.56, 0.74), (0.40, 0.55, 0.38), (0.52, 0.38, 0.20), (0.34, 0.21, 0.12), (0.19, 0.12, 0.09))
_GREY = (0.80, 0.79, 0.78)
_PALE = (0.74, 0.68, 0.62)
_LIPSTICK = (0.72, 0.28, 0.28)


@dataclass(frozen=True)
class Skull:
    """The shape of head and neck.

    Attributes:
        width: half width of the head.
        depth: half depth of the head.
        jaw: 0 (pointed) to 1 (square).
        cheek: fullness of the cheeks, 0 to 1.
        ear: half height of an ear.
        neck: half width of the neck; the shoulders go with it.
    """

    width: float
    depth: float
    jaw: float
    cheek: float
    ear: float
    neck: float


@dataclass(frozen=True)
class Eyes:
    """Distance from the middle, height, half width, slant, openness factor and colour of the iris."""

    gap: float
    height: float
    size: float
    tilt: float
    lid: float
    iris: Colour


@dataclass(frozen=True)
class Brows:
    """Distance above the eyes, curvature and thickness."""

    gap: float
    arch: float
    weight: float


@dataclass(frozen=True)
class Nose:
    """Height of its end, half width, how far it stands out."""

    end: float
    width: float
    out: float


@dataclass(frozen=True)
class Mouth:
    """Height, half width, thickness and colour of the lips."""

    height: float
    width: float
    weight: float
    colour: Colour


@dataclass(frozen=True)
class Hair:
    """Hair and beard.

    Attributes:
        colour: of both.
        line: height of the hairline.
        ends: height at which the hair ends at the sides.
        volume: thickness of the hair.
        parting: asymmetry of the hairline.
        curl: waviness, 0 to 1.
        recede: how far the temples have gone, 0 to 1.
        bald: 1 where the top of the head has no hair, else 0.
        beard: density, 0 to 1.
    """

    colour: Colour
    line: float
    ends: float
    volume: float
    parting: float
    curl: float
    recede: float
    bald: float
    beard: float


@dataclass(frozen=True)
class Skin:
    """Colour, depth of the wrinkles and density of the freckles (0 to 1), and moles: across, down, radius."""

    colour: Colour
    wrinkles: float
    freckles: float
    moles: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Person:
    """What all photos of one subject share.

    Attributes:
        skull, eyes, brows, nose, mouth, hair, skin: the parts of the head.
        glasses: whether the person usually wears them.
        lean: asymmetry of the features.
        phase: a number in [0, 2 pi) that the textures start from.
    """

    skull: Skull
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    hair: Hair
    skin: Skin
    glasses: bool
    lean: float
    phase: float


@dataclass(frozen=True)
class _Draw:
    """Chance, and the traits that the parts of a head have in common."""

    rng: Generator
    age: float
    feminine: float
    tone: float

    @property
    def child(self) -> float:
        """From 1 at one year to 0 at nineteen."""
        return min(max((19 - self.age) / 18, 0.0), 1.0)

    @property
    def old(self) -> float:
        """From 0 at thirty-eight to 1 at seventy-eight."""
        return min(max((self.age - 38) / 40, 0.0), 1.0)

    def near(self, mean: float, spread: float, low: float = -np.inf, high: float = np.inf) -> float:
        """Return a normal number, at most 2.2 spreads from ``mean`` and within [low, high]."""
        off = min(max(self.rng.standard_normal(), -2.2), 2.2)
        return float(min(max(mean + spread * off, low), high))

    def chance(self, probability: float) -> bool:
        """Return true with this probability."""
        return bool(self.rng.uniform() < probability)

    def colour(self, colours: tuple[Colour, ...], place: float) -> Colour:
        """Return a colour ``place`` (0 to 1) of the way along ``colours``, a little off."""
        place = float(np.clip(place, 0, 1)) * (len(colours) - 1)
        index = min(int(place), len(colours) - 2)
        mixed = mix(colours[index], colours[index + 1], place - index)
        red, green, blue = np.clip(np.array(mixed) * self.near(1, 0.06) + self.rng.normal(0, 0.008, 3), 0.02, 1)
        return float(red), float(green), float(blue)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return ``first``, moved by ``share`` (0 to 1) towards ``second``."""
    red, green, blue = (float(a + share * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def draw_person(rng: Generator, *, age: float, feminine: float) -> Person:
    """Invent a person.

    Args:
        rng: source of chance; the same state gives the same person.
        age: apparent age, in years.
        feminine: 0 (masculine features) to 1 (feminine features).
    """
    draw = _Draw(rng, age, feminine, tone=float(rng.uniform()))
    skin = _skin(draw)
    return Person(
        skull=_skull(draw),
        eyes=_eyes(draw),
        brows=Brows(
            gap=draw.near(0.19 + 0.03 * feminine, 0.02),
            arch=draw.near(0.05 + 0.04 * feminine, 0.02),
            weight=draw.near(0.047 - 0.017 * feminine - 0.018 * draw.child, 0.009, low=0.014),
        ),
        nose=Nose(
            end=draw.near(0.36 + 0.04 * draw.old, 0.025),
            width=draw.near(0.135 - 0.015 * draw.child - 0.012 * feminine + 0.012 * draw.old, 0.016),
            out=draw.near(0.25 - 0.09 * draw.child - 0.03 * feminine + 0.03 * draw.old, 0.03),
        ),
        mouth=_mouth(draw, skin.colour),
        hair=_hair(draw),
        skin=skin,
        glasses=draw.chance(0.05 + 0.15 * (1 - draw.child) + 0.3 * draw.old),
        lean=draw.near(0, 0.012),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _skull(draw: _Draw) -> Skull:
    adult = 1 - draw.child
    return Skull(
        width=draw.near(0.70 + 0.06 * draw.child - 0.03 * draw.feminine, 0.035),
        depth=draw.near(0.80, 0.03),
        jaw=draw.near(0.55 - 0.35 * draw.feminine * adult - 0.1 * draw.child + 0.2 * draw.old, 0.18, 0, 1),
        cheek=draw.near(0.35 + 0.6 * draw.child - 0.3 * draw.old, 0.1, 0, 1),
        ear=draw.near(0.185 + 0.03 * draw.old, 0.015),
        neck=draw.near(0.42 - 0.18 * draw.child - 0.07 * draw.feminine * adult, 0.02),
    )


def _eyes(draw: _Draw) -> Eyes:
    return Eyes(
        gap=draw.near(0.295, 0.018),
        height=draw.near(0.18 * draw.child, 0.02),
        size=draw.near(0.140 + 0.028 * draw.child + 0.008 * draw.feminine, 0.007),
        tilt=draw.near(0.04 + 0.08 * draw.feminine - 0.14 * draw.old, 0.08),
        lid=draw.near(1.0 + 0.12 * draw.child + 0.08 * draw.feminine - 0.25 * draw.old, 0.1),
        iris=draw.colour(_IRISES, draw.tone + draw.near(0.1, 0.25)),
    )


def _mouth(draw: _Draw, skin: Colour) -> Mouth:
    made_up = 0.35 + 0.35 * draw.feminine * float(draw.age > 15) * draw.rng.uniform()
    return Mouth(
        height=draw.near(0.605 + 0.02 * draw.child, 0.02),
        width=draw.near(0.255 - 0.035 * draw.child - 0.01 * draw.feminine, 0.02),
        weight=draw.near(0.062 + 0.014 * draw.feminine - 0.028 * draw.old, 0.011, low=0.022),
        colour=mix(mix(skin, _LIPSTICK, made_up), skin, 0.35 * draw.old),
    )


def _hair(draw: _Draw) -> Hair:
    masculine = 1 - draw.feminine
    grey = float(np.clip((draw.age - draw.near(40, 4)) / 30, 0, 1))
    long = draw.chance(0.1 + 0.75 * draw.feminine)
    fringe = draw.chance(0.12 + 0.2 * draw.child)
    losing = masculine * float(draw.age > 28)
    bearded = draw.age > 18 and draw.chance(0.55 * masculine**2)
    return Hair(
        colour=mix(draw.colour(_HAIRS, 0.1 + 0.9 * draw.tone + draw.near(0.05, 0.25)), _GREY, grey),
        line=draw.near(-0.60 + 0.03 * draw.child, 0.05) + 0.28 * float(fringe),
        ends=draw.near(0.9, 0.25) if long else draw.near(0.02, 0.07),
        volume=draw.near(0.11 + 0.06 * float(long) - 0.05 * draw.old * masculine, 0.045, low=0.04),
        parting=draw.near(0, 0.12),
        curl=draw.near(0.2, 0.4, 0, 1),
        recede=draw.near(0.25 + draw.old, 0.4, 0, 1) * losing,
        bald=float(draw.chance(0.1 + 0.5 * draw.old)) * float(losing > 0.6),
        beard=float(draw.rng.uniform(0.3, 1.0)) * float(bearded),
    )


def _skin(draw: _Draw) -> Skin:
    rng = draw.rng
    return Skin(
        colour=mix(draw.colour(_SKINS, draw.tone), _PALE, 0.2 * draw.old),
        wrinkles=draw.near(max(draw.age - 22, 0) / 48, 0.05, 0, 1.2) * float(draw.age > 22),
        freckles=draw.near(0.45 * draw.old - 0.1, 0.2, 0, 1),
        moles=tuple(
            (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.3, 0.85)), float(rng.uniform(0.022, 0.04)))
            for _ in range(int(rng.integers(0, 3)))
        ),
    )
