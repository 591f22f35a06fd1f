"""Painting the features of a face before it is lit: mouth, eyes, brows."""

from __future__ import annotations

import numpy as np

from dlfd_ops.data.synthetic_faces.canvas import Canvas, Field, blend, bump, edge, ramp, scaled, stroke
from dlfd_ops.data.synthetic_faces.head import Surface
from dlfd_ops.data.synthetic_faces.person import Person
from dlfd_ops.data.synthetic_faces.photo import Expression, Photo

_EDGE = 0.03
"""Width over which a feature fades into the next, in head units: about a pixel of the oversampled picture."""
_MOUTH_INSIDE = (0.16, 0.05, 0.05)
_TEETH = (0.93, 0.90, 0.85)
_EYEBALL = (0.95, 0.93, 0.91)
_LID_SHADOW = (0.45, 0.36, 0.34)
_LASHES = (0.10, 0.07, 0.06)
_PUPIL = (0.03, 0.03, 0.03)
_GLINT = (1.6, 1.6, 1.6)


def paint_mouth(albedo: Canvas, person: Person, photo: Photo, head: Surface) -> None:
    """Paint lips, teeth and the corners of the mouth."""
    face, mouth, down = photo.expression, person.mouth, head.down
    width = mouth.width * (1 + 0.28 * face.stretch + 0.12 * max(face.smile, 0) - 0.08 * face.press)
    place = np.clip(head.across / width, -1.15, 1.15)
    arch = np.maximum(1 - place**2, 0)
    front = (arch > 0) & (np.abs(head.angle) < 1.45)
    middle = mouth.height - 0.085 * face.smile * (place**2 - 0.35) - 0.02 * face.lip_up
    gap = _gap(face) * arch
    weight = mouth.weight * (1 - 0.45 * face.press)
    top = middle - gap - weight * arch**0.7 * (1 - 0.3 * stroke(place, 0.35)) - 0.02 * face.lip_up
    bottom = middle + gap + 1.2 * weight * arch**0.6
    lips = _between(down, top, bottom) * front
    blend(albedo, mouth.colour, 0.9 * lips)
    blend(albedo, scaled(mouth.colour, 0.75), 0.5 * lips * edge(middle - gap - down, _EDGE))
    inside = _between(down, middle - gap, middle + gap) * front
    blend(albedo, _MOUTH_INSIDE, 0.95 * inside)
    teeth = edge(middle - gap + 0.075 - down, _EDGE) * ramp(gap, 0.02, 0.04) * ramp(np.abs(place), 0.95, 0.75)
    blend(albedo, _TEETH, 0.95 * inside * teeth)
    corners = bump(np.abs(place) - 1.0, 2 * (down - middle), 0.16, 0.08)
    blend(albedo, scaled(person.skin.colour, 0.35), 0.6 * corners)
    shade = bump(head.across, down - mouth.height - 0.11 - 0.1 * max(face.gape, 0), 0.8 * width, 0.05)
    blend(albedo, scaled(person.skin.colour, 0.5), 0.35 * shade)


def _gap(face: Expression) -> float:
    rounded = 1 + 0.6 * max(-face.stretch, 0)
    return (0.006 + 0.11 * max(face.gape, 0) + 0.03 * face.lip_up) * rounded


def _between(values: Field, low: Field, high: Field) -> Field:
    return np.minimum(edge(values - low, _EDGE), edge(high - values, _EDGE))


def paint_eyes(albedo: Canvas, person: Person, photo: Photo, head: Surface) -> None:
    """Paint eyeballs, irises, lashes and lids. Both eyes at once: lengths in half widths of an eye, outwards."""
    eyes = person.eyes
    out = (np.abs(head.across) - eyes.gap) / eyes.size
    down = (head.down - eyes.height) / eyes.size + eyes.tilt * out
    opened = eyes.lid * (1 + 0.38 * photo.expression.eyes)
    arch = np.maximum(1 - out**2, 0)
    upper, lower = -0.50 * opened * arch**0.75, 0.36 * opened * arch
    front = np.abs(head.angle) < 1.45
    fade = _EDGE / eyes.size
    inside = np.minimum(edge(down - upper, fade), edge(lower - down, fade)) * ((arch > 0) & front)
    blend(albedo, _EYEBALL, inside)
    blend(albedo, _LID_SHADOW, 0.5 * inside * ramp(down - upper, 0.35, 0.0))
    _paint_iris(albedo, person, inside, out - 0.46 * photo.gaze * np.sign(head.across), down)
    lids = front * ramp(np.abs(out), 1.0, 0.7)
    blend(albedo, scaled(person.skin.colour, 0.4), 0.45 * lids * stroke(down - upper + 0.36, 0.13))
    blend(albedo, scaled(person.skin.colour, 0.4), 0.5 * lids * stroke(down - lower - 0.03, 0.12))
    lashes = ((arch > 0) & front) * ramp(np.abs(out), 1.08, 0.9)
    blend(albedo, _LASHES, 0.9 * lashes * stroke(down - upper + 0.03, 0.17))


def _paint_iris(albedo: Canvas, person: Person, inside: Field, out: Field, down: Field) -> None:
    radius, fade = 0.46, _EDGE / person.eyes.size
    distance = np.sqrt(out**2 + (down + 0.05) ** 2)
    for colour, share in ((scaled(person.eyes.iris, 0.55), 1.0), (person.eyes.iris, 0.8), (_PUPIL, 0.45)):
        blend(albedo, colour, inside * edge(share * radius - distance, fade))
    glint = bump(out - 0.16, down + 0.22, 0.17, 0.17)
    blend(albedo, _GLINT, np.minimum(1.5 * glint, 1) * inside)


def paint_brows(albedo: Canvas, person: Person, photo: Photo, head: Surface) -> None:
    """Paint both eyebrows."""
    face, brows, eyes = photo.expression, person.brows, person.eyes
    out = (np.abs(head.across) - eyes.gap) / (1.35 * eyes.size)
    height = eyes.height - brows.gap - brows.arch * (1 - (out - 0.25) ** 2)
    height = height - 0.085 * face.brow - 0.085 * face.brow_inner * (ramp(out, 0.7, -0.8) - 0.15)
    thick = brows.weight * (0.45 + 0.55 * ramp(out, 1.1, -0.4))
    share = bump(out, (head.down - height) / (1.9 * thick), 1.12, 0.85) * (np.abs(head.angle) < 1.45)
    blend(albedo, scaled(person.hair.colour, 0.72), np.minimum(1.8 * share, 0.92))
