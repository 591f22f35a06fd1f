"""Painting the skin of a face before it is lit: complexion, wrinkles and folds, beard."""

from __future__ import annotations

import numpy as np

from dlfd_ops.data.synthetic_faces.canvas import Canvas, Field, blend, bump, ramp, scaled, stroke, wave
from dlfd_ops.data.synthetic_faces.head import Surface
from dlfd_ops.data.synthetic_faces.person import Person
from dlfd_ops.data.synthetic_faces.photo import Photo

_BLOOD = (0.85, 0.42, 0.38)


def paint_complexion(albedo: Canvas, person: Person, head: Surface) -> None:
    """Paint flush, eye sockets, nostrils, freckles and moles."""
    skin, nose, eyes = person.skin, person.nose, person.eyes
    across, down, side = head.across, head.down, np.abs(head.across)
    flush = bump(side - 0.36, down - 0.32, 0.26, 0.22) + bump(across, down - nose.end, 0.16, 0.14)
    blend(albedo, _BLOOD, (0.10 + 0.08 * person.skull.cheek) * np.minimum(flush, 1))
    sockets = bump(side - eyes.gap + 0.03, down - eyes.height - 0.02, 0.24, 0.2)
    blend(albedo, scaled(skin.colour, 0.55), (0.22 + 0.2 * skin.wrinkles) * sockets)
    nostrils = bump(side - 0.5 * nose.width, down - nose.end - 0.035, 0.055, 0.035)
    blend(albedo, scaled(skin.colour, 0.25), 0.85 * nostrils)
    under_nose = bump(across, down - nose.end - 0.06, 1.2 * nose.width, 0.06)
    blend(albedo, scaled(skin.colour, 0.5), 0.4 * under_nose)
    blend(albedo, scaled(skin.colour, 0.62), 0.5 * skin.freckles * _speckle(person, head))
    for place, height, radius in skin.moles:
        mole = 1.5 * bump(across - place, down - height, radius, radius)
        blend(albedo, scaled(skin.colour, 0.3), np.minimum(mole, 1))


def _speckle(person: Person, head: Surface) -> Field:
    rows = wave(29 * head.down + 2 * person.phase + 2.5 * wave(11 * head.across + person.phase))
    columns = wave(33 * head.across + person.phase + 2.5 * wave(13 * head.down))
    return ramp(rows * columns, 0.4, 0.9) * (head.down > -0.5)


def paint_cheek_folds(albedo: Canvas, person: Person, photo: Photo, head: Surface) -> None:
    """Paint the folds from the nose to the corners of the mouth, deeper with age, smiles and disgust."""
    face, smile = photo.expression, max(photo.expression.smile, 0.0)
    along = np.clip((head.down - person.nose.end + 0.03) / 0.32, 0, 1)
    fold = stroke(np.abs(head.across) - 0.15 - (0.17 + 0.05 * smile) * along, 0.04)
    depth = 0.1 + 0.75 * person.skin.wrinkles + 0.4 * smile + 0.5 * face.lip_up
    _paint_fold(albedo, person, fold * ramp(along, 0, 0.15) * ramp(along, 1, 0.6), depth)


def paint_eye_folds(albedo: Canvas, person: Person, photo: Photo, head: Surface) -> None:
    """Paint the wrinkles of forehead, brow and eyes, deeper with age, and those that expressions make."""
    face, wrinkles = photo.expression, person.skin.wrinkles
    side, down = np.abs(head.across), head.down - person.eyes.height
    rows = ramp(wave(38 * head.down + 1.5 * wave(5 * head.across + person.phase)), 0.3, 1)
    forehead = rows * bump(head.across, down + 0.4, 0.5, 0.2)
    _paint_fold(albedo, person, forehead, 0.65 * wrinkles + 0.25 * max(face.brow, 0))
    _paint_fold(albedo, person, bump(side - person.eyes.gap, down - 0.145, 0.16, 0.035), 0.1 + 0.75 * wrinkles)
    crow_feet = ramp(wave(55 * down + 6 * side), 0.2, 1) * bump(side - 0.54, down, 0.1, 0.13)
    _paint_fold(albedo, person, crow_feet, 0.7 * wrinkles + 0.2 * max(face.smile, 0))
    frown = 0.5 * wrinkles + 0.6 * max(-face.brow_inner, 0) + 0.4 * face.lip_up
    _paint_fold(albedo, person, bump(side - 0.06, down + 0.2, 0.025, 0.1), frown)


def _paint_fold(albedo: Canvas, person: Person, fold: Field, depth: float) -> None:
    blend(albedo, scaled(person.skin.colour, 0.42), min(max(depth, 0.0), 0.8) * fold)


def paint_beard(albedo: Canvas, person: Person, _photo: Photo, head: Surface) -> None:
    """Paint beard and moustache."""
    if not person.hair.beard:
        return
    side, down = np.abs(head.across), head.down
    cheek = ramp(down - 0.72 + 2.4 * side**2, -0.04, 0.2) * ramp(down, 0.0, 0.25)
    moustache = bump(side, down - person.mouth.height + 0.10 - 0.4 * side**2, 0.30, 0.07)
    hairs = 0.9 + 0.1 * wave(61 * head.across + person.phase) * wave(53 * down)
    share = person.hair.beard * np.minimum(np.maximum(cheek, 1.5 * moustache), 1) * hairs
    blend(albedo, scaled(person.hair.colour, 0.9), 0.9 * share)
