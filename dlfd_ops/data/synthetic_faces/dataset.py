"""A labelled data set of invented people, on disk: ``images/000000.png`` and so on, and ``labels.csv``.

It is hard on purpose, so that a model learns some of it by heart and forgetting can be measured: people look older or
younger than they are, expressions are often faint, and a share of the labels is wrong, as annotators' labels are.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image
from tqdm import tqdm

from dlfd_ops.data.synthetic_faces.drawing import render
from dlfd_ops.data.synthetic_faces.person import Person, draw_person
from dlfd_ops.data.synthetic_faces.photo import EXPRESSIONS, Expression, Photo, draw_photo
from dlfd_ops.errors import BadInput

LABELS = "labels.csv"
RECIPE = "recipe.json"
IMAGES = "images"
VERSION = 1
"""Raised whenever the same recipe would give other pictures or labels."""

AGE_SPANS = {
    "0-6": (1.0, 7.0),
    "7-12": (7.0, 13.0),
    "13-19": (13.0, 20.0),
    "20-30": (20.0, 31.0),
    "31-45": (31.0, 46.0),
    "46-55": (46.0, 56.0),
    "56-66": (56.0, 67.0),
    "67+": (67.0, 88.0),
}
"""The age groups, and the ages in each."""

CLASSES: dict[str, tuple[str, ...]] = {
    "age_group": tuple(AGE_SPANS),
    "emotion": tuple(EXPRESSIONS),
    "gender": ("female", "male"),
    "young": ("no", "yes"),
    "smiling": ("no", "yes"),
}
"""Class names of every label; gender, young (under 31) and smiling are the binary attributes."""

LABEL_NOISE = {"age_group": 0.15, "emotion": 0.08, "smiling": 0.04}
"""Share of the photos whose label is wrong."""
_YOUNG = ("0-6", "7-12", "13-19", "20-30")
_SMILE = 0.3


@dataclass(frozen=True)
class Recipe:
    """Everything that the data set depends on.

    Attributes:
        subjects: number of people, each with 6 to 14 photos; 10 on average.
        seed: of everything.
        size: side of the images, in pixels.
        version: of the generator.
    """

    subjects: int = 260
    seed: int = 0
    size: int = 64
    version: int = VERSION

    def __post_init__(self) -> None:
        _check("subjects", self.subjects, 1, 100_000)
        _check("seed", self.seed, 0, 2**31 - 1)
        _check("size", self.size, 16, 512)


@dataclass(frozen=True)
class Shot:
    """One image of the data set before it is drawn; ``labels`` are class names."""

    subject: str
    person: Person
    photo: Photo
    labels: dict[str, str]


def generate(root: Path, recipe: Recipe) -> bool:
    """Write the data set into ``root``, which appears complete or not at all.

    Returns:
        True where it was written, False where ``root`` already holds what this recipe gives; nothing is touched then,
        so images that were erased since stay erased.

    Raises:
        BadInput: ``root`` holds something else, or can't be written.
    """
    if _holds(root, recipe):
        return False
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.", suffix=".tmp") as temporary:
            made = Path(temporary) / root.name
            _write(made, recipe)
            made.replace(root)
    except OSError as error:
        if _holds(root, recipe):
            return False
        raise BadInput(
            f"{root} must be a folder that can be written",
            received=error.strerror or "an I/O error",
            remedy="choose another folder, or check permissions and free space",
        ) from error
    return True


def shots(recipe: Recipe) -> list[Shot]:
    """Return all images of the data set in an order that does not tell who is on them."""
    everything = [shot for index in range(recipe.subjects) for shot in _shots_of(recipe.seed, index)]
    order = np.random.default_rng([recipe.seed, recipe.subjects, 1]).permutation(len(everything))
    return [everything[position] for position in order]


def _shots_of(seed: int, index: int) -> Iterator[Shot]:
    """Yield the photos of one person, who is the same whatever the number of people."""
    rng = np.random.default_rng([seed, index])
    group = CLASSES["age_group"][int(rng.integers(len(AGE_SPANS)))]
    gender = CLASSES["gender"][int(rng.integers(2))]
    age = float(rng.uniform(*AGE_SPANS[group]))
    seeming = float(np.clip(age + (0.5 + 0.04 * age) * rng.standard_normal(), 1, 90))
    feminine = float(np.clip(rng.normal(0.82 if gender == "female" else 0.18, 0.16), 0, 1))
    person = draw_person(rng, age=seeming, feminine=feminine)
    for _ in range(int(rng.integers(6, 15))):
        emotion = _draw_class(rng, CLASSES["emotion"])
        expression = _expression(rng, emotion)
        truth = {
            "age_group": group,
            "emotion": emotion,
            "gender": gender,
            "young": "yes" if group in _YOUNG else "no",
            "smiling": "yes" if expression.smile > _SMILE else "no",
        }
        photo = draw_photo(rng, person, expression)
        yield Shot(f"person-{index:05d}", person, photo, _annotated(rng, truth))


def _expression(rng: Generator, emotion: str) -> Expression:
    """Return a more or less faint expression, mixed with a trace of another and with a habit of smiling."""
    strong = EXPRESSIONS[emotion].scaled(rng.uniform(0.4, 1.0))
    trace = EXPRESSIONS[_draw_class(rng, CLASSES["emotion"])].scaled(rng.uniform(0, 0.2))
    movements = {name: value + getattr(trace, name) for name, value in asdict(strong).items()}
    movements["smile"] += float(rng.normal(0, 0.12))
    return Expression(**movements)


def _annotated(rng: Generator, truth: dict[str, str]) -> dict[str, str]:
    """Return the labels that a fallible annotator gives; the nearer an age group, the likelier the mistake."""
    labels = dict(truth)
    for label, share in LABEL_NOISE.items():
        wrong = rng.uniform() < share
        names = CLASSES[label]
        place = names.index(truth[label])
        distances = [abs(other - place) for other in range(len(names))]
        weights = np.array([1 / distance if distance else 0 for distance in distances])
        if label != "age_group":
            weights = np.ceil(weights)
        choice = int(rng.choice(len(names), p=weights / weights.sum()))
        labels[label] = names[choice] if wrong else truth[label]
    return labels


def _draw_class(rng: Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]


def _write(folder: Path, recipe: Recipe) -> None:
    (folder / IMAGES).mkdir(parents=True)
    with (folder / LABELS).open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["image", "subject_id", *CLASSES])
        for number, shot in enumerate(tqdm(shots(recipe), desc="drawing faces", unit="image", disable=None)):
            image = f"{IMAGES}/{number:06d}.png"
            Image.fromarray(render(shot.person, shot.photo, recipe.size)).save(folder / image)
            table.writerow([image, shot.subject, *(shot.labels[label] for label in CLASSES)])
    (folder / RECIPE).write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")


def _holds(root: Path, recipe: Recipe) -> bool:
    """Return whether ``root`` was made by ``recipe``; False where there is nothing yet."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        made_by = json.loads((root / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made_by = None
    if made_by == asdict(recipe):
        return True
    raise BadInput(
        f"{root} must be empty, or hold the synthetic faces of the same recipe",
        received="other content" if made_by is None else "synthetic faces of another seed, number, size or version",
        remedy="choose another folder, or remove this one",
    )


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BadInput(
            f"{name} must lie between {low} and {high}", received=str(value), remedy=f"choose another --{name}"
        )
