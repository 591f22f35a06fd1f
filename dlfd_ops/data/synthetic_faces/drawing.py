"""Putting a picture together, from back to front: background, body, ears, head, hair, glasses; then the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dlfd_ops.data.synthetic_faces.canvas import Canvas, Field, blend, bump, edge, ramp, scaled, shaded, stroke, wave
from dlfd_ops.data.synthetic_faces.complexion import (
    paint_beard,
    paint_cheek_folds,
    paint_complexion,
    paint_eye_folds,
)
from dlfd_ops.data.synthetic_faces.features import paint_brows, paint_eyes, paint_mouth
from dlfd_ops.data.synthetic_faces.head import Surface, area_of, brightness, hair_surface, head_grid, head_surface
from dlfd_ops.data.synthetic_faces.person import Hair, Person, mix
from dlfd_ops.data.synthetic_faces.photo import Photo

OVERSAMPLING = 2
_FRAME = (0.22, 0.15, 0.12)
_LENS = (0.85, 0.90, 0.95)
_EAR = (0.86, 0.52, 0.45)


def render(person: Person, photo: Photo, size: int = 64) -> NDArray[np.uint8]:
    """Draw ``photo`` of ``person``.

    Args:
        person: who is drawn.
        photo: how.
        size: side of the picture, in pixels.

    Returns:
        (size, size, 3) uint8, the same for the same arguments.
    """
    rng = np.random.default_rng(photo.seed)
    picture = _backdrop(photo, rng, OVERSAMPLING * size)
    grid = head_grid(photo, OVERSAMPLING * size)
    area = area_of(np.abs(grid[0]) < 1.05)
    canvas, x, y = picture[:, *area], grid[0][area], grid[1][area]
    hair = hair_surface(person, photo, x, y)
    _paint_back_hair(canvas, person, hair, x, y)
    area = area_of(y > 0.2)
    _paint_body(canvas[:, *area], person, photo, x[area], y[area])
    for side in (-1, 1):
        _paint_ear(canvas, person, photo, x, y, side=side)
    area = area_of((np.abs(x) < 0.85) & (np.abs(y) < 1.03))
    head = head_surface(person, photo, x[area], y[area])
    _paint_head(canvas[:, *area], person, photo, head)
    _paint_hair(canvas, person, photo, hair)
    if photo.glasses:
        _paint_glasses(canvas[:, *area], person, head)
    if photo.occluder is not None:
        _paint_occluder(canvas, photo, x, y)
    return _develop(picture, photo, rng, size)


def _backdrop(photo: Photo, rng: np.random.Generator, pixels: int) -> Canvas:
    axis = (np.arange(pixels) + 0.5) * 2 / pixels - 1
    x, y = axis[None, :], axis[:, None]
    tilt = rng.normal(0, 0.12, 2)
    canvas = shaded(photo.backdrop, 1 + tilt[0] * x + tilt[1] * y)
    for _ in range(int(rng.integers(0, 4))):
        place, (width, height) = rng.uniform(-1, 1, 2), rng.uniform(0.2, 0.7, 2)
        red, green, blue = rng.uniform(0.1, 0.9, 3)
        blob = np.minimum(2 * bump(x - place[0], y - place[1], width, height), 0.6)
        blend(canvas, mix(photo.backdrop, (red, green, blue), 0.5), blob)
    return canvas


def _strands(hair: Hair, phase: float, angle: Field, down: Field) -> Field:
    """Return the strands of the hair: about -1 to 1."""
    bend = 1.2 * hair.curl * wave(9 * down + 4 * angle + phase)
    clumps = wave(13 * angle + 2 * wave(2 * down + phase) + bend)
    fine = wave(39 * angle + 3 * wave(3 * down + phase) + bend)
    return np.asarray(0.4 * clumps + 0.5 * fine + 0.7 * hair.curl * wave(19 * down + bend + clumps))


def _paint_back_hair(canvas: Canvas, person: Person, surface: Surface, x: Field, y: Field) -> None:
    length = person.hair.ends + 0.06 * wave(7 * x + person.phase)
    share = surface.cover * edge(length - y, 0.08) * _below_bald(person.hair, y)
    blend(canvas, shaded(person.hair.colour, 0.5 + 0.12 * _strands(person.hair, person.phase, 2.5 * x, y)), share)


def _below_bald(hair: Hair, down: Field) -> Field:
    """Return 0 on the bald top of the head, 1 below it, and 1 everywhere for who is not bald."""
    return ramp(down, -0.35 - 2 * (1 - hair.bald), -0.15 - 2 * (1 - hair.bald))


def _paint_body(canvas: Canvas, person: Person, photo: Photo, x: Field, y: Field) -> None:
    right = photo.light[0]
    half = person.skull.neck + 0.5 * np.maximum(y - 1.1, 0) ** 1.5
    rounded = 0.35 + 0.35 * np.sqrt(np.clip(1 - (x / half) ** 2, 0, 1))
    light = rounded * (1 + 0.35 * right * x / half) * (1 - 0.35 * ramp(y, 1.25, 0.85))
    blend(canvas, shaded(person.skin.colour, light), edge(half - np.abs(x), 0.04) * (y > 0.2))
    shoulders = y - 1.22 - (0.62 - person.skull.neck) * np.abs(x) ** 1.5 - 0.2 * bump(x, y - 1.3, 0.35, 0.6)
    light = (0.85 + 0.25 * right * x) * (1 - 0.25 * edge(0.05 - shoulders, 0.05))
    blend(canvas, shaded(photo.clothes, light), edge(shoulders, 0.04))


def _paint_ear(canvas: Canvas, person: Person, photo: Photo, x: Field, y: Field, *, side: int) -> None:
    centre = side * (0.99 * person.skull.width * np.cos(photo.yaw) + 0.04)
    width = 0.10 + 0.05 * max(-side * np.sin(photo.yaw), 0)
    area = area_of((np.abs(x - centre) < 1.2 * width) & (np.abs(y - 0.1) < 1.2 * person.skull.ear))
    out, down = (x[area] - centre) / width, (y[area] - 0.1) / person.skull.ear
    light = (0.72 + 0.25 * side * photo.light[0]) * (1 - 0.35 * bump(out - 0.1 * side, down, 0.75, 0.75))
    share = edge(1 - np.sqrt(out**2 + down**2), 0.25)
    blend(canvas[:, *area], shaded(mix(person.skin.colour, _EAR, 0.12), light), share)


def _paint_head(canvas: Canvas, person: Person, photo: Photo, head: Surface) -> None:
    albedo = shaded(person.skin.colour, np.ones_like(head.depth))
    paint_complexion(albedo, person, head)
    eyes = person.eyes.height
    for paint, low, high in (
        (paint_cheek_folds, 0.2, 0.8),
        (paint_eye_folds, eyes - 0.65, eyes + 0.3),
        (paint_beard, 0.0, 1.3),
        (paint_mouth, 0.35, 0.95),
        (paint_eyes, eyes - 0.2, eyes + 0.2),
        (paint_brows, eyes - 0.5, eyes),
    ):
        area = head.band(low, high)
        paint(albedo[:, *area], person, photo, head.part(area))
    diffuse, mirrored = brightness(head, photo, 0.14)
    blend(canvas, albedo * (diffuse * _shadow(photo, head)) + mirrored, head.cover)


def _shadow(photo: Photo, head: Surface) -> Field:
    """Return the light that the nose and the brow leave: 1, less where they stand between a pixel and the light."""
    reach = 0.06 * head.depth.shape[0]
    right, below = round(photo.light[0] * reach), round(photo.light[1] * reach)
    blocked = np.roll(head.relief, (-below, -right), axis=(0, 1)) - head.relief - 0.03
    return np.asarray(1 - np.clip(2.2 * blocked, 0, 0.3))


def _paint_hair(canvas: Canvas, person: Person, photo: Photo, surface: Surface) -> None:
    hair, away = person.hair, np.abs(surface.angle)
    line = hair.line + hair.parting * wave(surface.angle) - 2 * hair.bald - 0.12 * hair.recede
    line = line - 0.35 * hair.recede * stroke(away - 0.5, 0.4)
    line = line + 0.02 * wave(13 * surface.angle + person.phase) + 0.015 * wave(29 * surface.angle)
    ends = hair.ends + 0.04 * wave(11 * surface.angle + person.phase)
    border = line + (ends - line) * ramp(away, 0.88, 1.2)
    share = surface.cover * edge(border - surface.down, 0.05) * _below_bald(hair, surface.down)
    diffuse, mirrored = brightness(surface, photo, 0.16)
    strands = _strands(hair, person.phase, surface.angle, surface.down)
    light = diffuse * (1 + 0.2 * strands) * (1 - 0.25 * stroke(border - surface.down, 0.12))
    blend(canvas, shaded(hair.colour, light) + mirrored * (0.7 + 0.5 * strands), share)


def _paint_glasses(canvas: Canvas, person: Person, head: Surface) -> None:
    side, down = np.abs(head.across), head.down - person.eyes.height
    out = np.sqrt(np.hypot(((side - person.eyes.gap) / 0.215) ** 2, ((down - 0.02) / 0.165) ** 2))
    bar = stroke(down + 0.02, 0.035) * ((side < 0.11) | (side > person.eyes.gap + 0.2))
    frame = np.minimum(1.4 * np.maximum(stroke(out - 1, 0.17), bar), 1) * head.cover
    blend(canvas, _LENS, 0.10 * edge(1 - out, 0.1) * head.cover)
    blend(canvas, scaled(_FRAME, 0.4 + abs(np.sin(person.phase))), 0.92 * frame)


def _paint_occluder(canvas: Canvas, photo: Photo, x: Field, y: Field) -> None:
    assert photo.occluder is not None
    across, height, half, angle = photo.occluder
    cosine, sine = np.cos(angle), np.sin(angle)
    right, down = cosine * (x - across) + sine * (y - height), cosine * (y - height) - sine * (x - across)
    inside = np.minimum(half - np.abs(right), 1.6 * half - np.abs(down))
    blend(canvas, shaded(photo.clothes[::-1], 0.8 + 0.3 * down), edge(inside, 0.04))


def _develop(canvas: Canvas, photo: Photo, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Apply the camera: exposure, colour, blur, noise, and the way down to ``size`` pixels."""
    exposed = canvas * (photo.exposure * np.array(photo.tint))[:, None, None]
    grey = exposed.mean(axis=0)
    pixels = 255 * np.clip(grey + photo.saturation * (exposed - grey), 0, 1)
    image = Image.fromarray(np.rint(pixels).astype(np.uint8).transpose(1, 2, 0).copy())
    image = image.filter(ImageFilter.GaussianBlur(photo.blur * OVERSAMPLING * size / 64))
    noisy = np.asarray(image.reduce(OVERSAMPLING), dtype=np.float64) + 255 * photo.grain * rng.standard_normal(
        (size, size, 3)
    )
    return np.asarray(np.clip(np.rint(noisy), 0, 255), dtype=np.uint8)
