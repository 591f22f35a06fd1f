"""The geometry of a drawn head: which point of the face a pixel shows, how far it stands out, how it is lit.

A head is a stack of horizontal ellipses, turned about its upright axis, with a relief on its front: nose, brow,
eye sockets, cheeks, lips, chin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.data.synthetic_faces.canvas import Field, bump, ramp, wave
from dlfd_ops.data.synthetic_faces.person import Person
from dlfd_ops.data.synthetic_faces.photo import Photo

Area = tuple[slice, slice]
"""Rows and columns of a picture."""


@dataclass(frozen=True)
class Surface:
    """What each pixel sees of a turned surface.

    Attributes:
        angle: longitude in radians, 0 at the middle of the face, positive to the right of the picture.
        across: distance from the middle plane of the face, in head units.
        down: height on the face, -1 at the crown, 1 at the chin.
        depth: towards the viewer, in head units.
        cover: share of the pixel that the surface covers, in [0, 1].
        relief: how far the surface stands out from its ellipses, in head units.
        pixel: side of a pixel, in head units.
    """

    angle: Field
    across: Field
    down: Field
    depth: Field
    cover: Field
    relief: Field
    pixel: float

    def part(self, area: Area) -> Surface:
        """Return what the pixels of ``area`` see."""
        seen = {field.name: getattr(self, field.name)[area] for field in fields(self) if field.name != "pixel"}
        return Surface(**seen, pixel=self.pixel)

    def band(self, low: float, high: float) -> Area:
        """Return the smallest area that holds everything of the surface with ``down`` between two heights."""
        return area_of((self.cover > 0) & (self.down > low) & (self.down < high))


def area_of(inside: NDArray[np.bool_]) -> Area:
    """Return the smallest area that holds every true pixel, at least 2 by 2."""
    bounds = []
    for axis in (1, 0):
        found = np.flatnonzero(inside.any(axis=axis))
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, 0)
        first = min(first, inside.shape[1 - axis] - 2)
        bounds.append(slice(first, max(last + 1, first + 2)))
    return bounds[0], bounds[1]


def head_grid(photo: Photo, pixels: int) -> tuple[Field, Field]:
    """Return each pixel's place in head units, right and down from the head's centre, with the roll undone."""
    axis = (np.arange(pixels) + 0.5) * 2 / pixels - 1
    right = axis[None, :] - photo.shift[0]
    below = axis[:, None] - photo.shift[1]
    cosine, sine = np.cos(photo.roll), np.sin(photo.roll)
    return (cosine * right + sine * below) / photo.scale, (cosine * below - sine * right) / photo.scale


def head_surface(person: Person, photo: Photo, x: Field, y: Field) -> Surface:
    """Return what the pixels see of the head, relief included."""
    above = np.sqrt(np.clip(1 - np.abs(np.minimum(y, 0)) ** 2.6, 0, 1))
    below = np.clip(1 - np.clip(y, 0, 1) ** (2.1 + 1.5 * person.skull.jaw), 0, 1) ** (0.62 - 0.1 * person.skull.cheek)
    half = np.where(y < 0, above, below) + 1e-4
    plain = _turned(person, photo, x, y, half)
    return _turned(person, photo, x, y, half, relief=_relief(person, photo, plain))


def hair_surface(person: Person, photo: Photo, x: Field, y: Field) -> Surface:
    """Return what the pixels see of the hair's outside: a larger cap that falls straight down at the sides."""
    wobble = 0.01 + 0.03 * person.hair.curl
    crown = 1 + person.hair.volume + wobble * wave(9 * x + 2 * person.phase)
    above = np.sqrt(np.clip(1 - np.abs(np.minimum(y, 0) / crown) ** 2.6, 0, 1))
    half = np.where(y < 0, above, 1 - 0.05 * np.abs(y) ** 2) * (1 + 0.9 * person.hair.volume) + 1e-4
    return _turned(person, photo, x, y, half)


def _turned(person: Person, photo: Photo, x: Field, y: Field, half: Field, *, relief: Field | None = None) -> Surface:
    """Cast rays at ellipses of the head's half axes, times ``half``, turned by the yaw."""
    width, depth = person.skull.width, person.skull.depth
    cosine, sine = float(np.cos(photo.yaw)), float(np.sin(photo.yaw))
    span = float(np.hypot(width * cosine, depth * sine))
    lead_cosine, lead_sine = width * cosine / span, depth * sine / span
    out = np.zeros_like(half) if relief is None else relief
    sight = np.clip((x - out * sine) / (span * half), -0.999, 0.999)
    facing = np.sqrt(1 - sight * sight)
    across = width * half * (sight * lead_cosine - facing * lead_sine)
    front = depth * half * (facing * lead_cosine + sight * lead_sine) + out
    pixel = float(np.hypot(x[0, 1] - x[0, 0], y[0, 1] - y[0, 0]))
    return Surface(
        angle=np.arcsin(sight) - float(np.arctan2(lead_sine, lead_cosine)),
        across=across - person.lean * y,
        down=y - photo.pitch * front,
        depth=front * cosine - across * sine,
        cover=np.clip((span * half - np.abs(x)) / pixel + 0.5, 0, 1) * (half > 0.02),
        relief=out,
        pixel=pixel,
    )


def _relief(person: Person, photo: Photo, at: Surface) -> Field:
    side, down, face = np.abs(at.across), at.down, photo.expression
    cheek = 0.05 + 0.05 * person.skull.cheek + 0.04 * max(face.smile, 0)
    return np.asarray(
        _nose(person, at)
        + 0.045 * bump(side - person.eyes.gap, down - person.eyes.height + 0.2, 0.3, 0.12)
        - 0.075 * bump(side - person.eyes.gap + 0.02, down - person.eyes.height, 0.22, 0.17)
        + 0.05 * bump(side - person.eyes.gap, down - person.eyes.height, 0.15, 0.11)
        + cheek * bump(side - 0.38, down - 0.3 + 0.05 * face.smile, 0.28, 0.26)
        + 0.055 * bump(at.across, down - person.mouth.height, 1.3 * person.mouth.width, 0.17)
        - 0.03 * bump(at.across, down - person.mouth.height - 0.15, 0.2, 0.06)
        + 0.05 * bump(at.across, down - 0.88, 0.14 + 0.12 * person.skull.jaw, 0.14)
        - 0.05 * person.skin.wrinkles * bump(side - 0.4, down - 0.52, 0.16, 0.25)
    ) * (np.abs(at.angle) < 1.5)


def _nose(person: Person, at: Surface) -> Field:
    start = person.eyes.height - 0.08
    along = np.clip((at.down - start) / (person.nose.end - start), 0, 1.3)
    half = person.nose.width * (0.45 + 0.45 * np.minimum(along, 1))
    end = ramp(at.down, person.nose.end + 0.06, person.nose.end - 0.02)
    round_off = np.maximum(1 - (at.across / half) ** 2, 0)
    bridge = round_off * np.sqrt(round_off) * along * (0.35 + 0.65 * along) * end
    wings = bump(np.abs(at.across) - 0.72 * person.nose.width, at.down - person.nose.end + 0.02, 0.075, 0.075)
    return np.asarray(person.nose.out * (0.8 * bridge + 0.25 * wings))


def brightness(surface: Surface, photo: Photo, shine: float) -> tuple[Field, Field]:
    """Return the diffuse and the mirrored light of a surface.

    Args:
        surface: the surface; its slope comes from the differences of its depth.
        photo: gives the light.
        shine: strength of the mirrored light.
    """
    slope_down, slope_across = np.gradient(surface.depth, surface.pixel)
    length = np.sqrt(1 + slope_across**2 + slope_down**2)
    right, below, towards = photo.light
    facing = (towards - right * slope_across - below * slope_down) / length
    diffuse = photo.ambient + (1 - photo.ambient) * np.clip(0.25 + 0.85 * facing, 0, None)
    half = np.array([right, below, towards + 1]) / np.sqrt(2 + 2 * towards)
    mirrored = (half[2] - half[0] * slope_across - half[1] * slope_down) / length
    return diffuse, shine * np.maximum(mirrored, 0) ** 24
