"""The invented faces: the same arguments draw the same picture, and what the numbers say can be seen."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from dlfd_ops.data.synthetic_faces import (
    EXPRESSIONS,
    Expression,
    Person,
    Photo,
    draw_person,
    draw_photo,
    render,
)
from dlfd_ops.data.synthetic_faces.__main__ import main
from dlfd_ops.data.synthetic_faces.canvas import bump, edge, ramp, stroke, wave
from dlfd_ops.data.synthetic_faces.dataset import (
    AGE_SPANS,
    CLASSES,
    IMAGES,
    LABEL_NOISE,
    LABELS,
    RECIPE,
    Recipe,
    Shot,
    generate,
    shots,
)
from dlfd_ops.data.synthetic_faces.head import head_grid, head_surface
from dlfd_ops.errors import BadInput

RENDER = "dlfd_ops.data.synthetic_faces.dataset.render"
"""Where the generator looks its renderer up."""
TINY = Recipe(subjects=3, seed=5, size=16)


@pytest.fixture(scope="module")
def default() -> list[Shot]:
    """All images of the embedded default, before they are drawn."""
    return shots(Recipe())


def _person(seed: int = 0, age: float = 35, feminine: float = 0.5) -> Person:
    return draw_person(np.random.default_rng(seed), age=age, feminine=feminine)


def _portrait(person: Person, expression: str = "neutral") -> Photo:
    """A frontal photo without blur, noise, glasses or anything before the face."""
    photo = draw_photo(np.random.default_rng(1), person, EXPRESSIONS[expression])
    return replace(
        photo, yaw=0.0, pitch=0.0, roll=0.0, shift=(0.0, 0.0), scale=0.72, glasses=False, occluder=None,
        blur=0.0, grain=0.0, saturation=1.0, light=(0.0, -0.3, 0.95),
    )  # fmt: skip


def _distance(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


def _bytes_below(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@given(st.floats(-50, 50))
def test_a_wave_is_nearly_a_sine(phase: float) -> None:
    """The polynomial wave stays within 0.002 of the sine."""
    assert abs(float(wave(np.array([phase]))[0]) - np.sin(phase)) < 0.002


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_falloffs_stay_between_nothing_and_all(across: float, down: float) -> None:
    """Every shape of the brush is a share: 0 to 1."""
    x, y = np.array([across]), np.array([down])
    for share in (bump(x, y, 0.7, 1.3), stroke(x, 0.4), ramp(x, -1, 1), ramp(x, 1, -1), edge(x, 0.3)):
        assert 0 <= share[0] <= 1


def test_the_brush_has_the_stated_ends() -> None:
    """A hill is 1 at its middle and 0 on its rim; a ramp is 0 and 1 at its ends, in either direction."""
    nothing = np.zeros(1)
    assert bump(nothing, nothing, 0.5, 0.5)[0] == 1
    assert bump(np.array([0.5]), nothing, 0.5, 0.2)[0] == pytest.approx(0)
    assert [ramp(np.array([value]), 2.0, 1.0)[0] for value in (1.0, 2.0)] == [1, 0]


def test_the_same_arguments_draw_the_same_picture() -> None:
    """Drawing has no hidden state: the picture is a function of person, photo and size."""
    person = _person()
    photo = draw_photo(np.random.default_rng(3), person, EXPRESSIONS["fear"])
    picture = render(person, photo)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, render(person, photo))


@given(st.integers(0, 2**31 - 1), st.floats(1, 90), st.floats(0, 1), st.sampled_from(sorted(EXPRESSIONS)))
def test_everybody_can_be_drawn(seed: int, age: float, feminine: float, expression: str) -> None:
    """No person, pose or light breaks the drawing, and no picture is blank."""
    rng = np.random.default_rng(seed)
    person = draw_person(rng, age=age, feminine=feminine)
    with np.errstate(all="raise", under="ignore"):
        picture = render(person, draw_photo(rng, person, EXPRESSIONS[expression]), 16)
    assert picture.std() > 2


def test_photos_of_one_person_are_alike() -> None:
    """Identity holds: two photos of a person differ less than photos of two people, most of the time."""
    people = [_person(seed, age=30 + seed, feminine=(seed % 5) / 4) for seed in range(24)]
    first, second = ([render(person, _photo_in_a_row(person, row)) for person in people] for row in (0, 1))
    nearest = [min(range(24), key=lambda other: _distance(face, second[other])) for face in first]
    hits = sum(found == index for index, found in enumerate(nearest))
    assert hits >= 12


def _photo_in_a_row(person: Person, row: int) -> Photo:
    """One of two photos that differ in expression, and a little in pose."""
    return replace(_portrait(person, ("neutral", "happiness")[row]), yaw=0.08 * row, roll=-0.04 * row)


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS) - {"neutral"}))
def test_an_expression_shows(expression: str) -> None:
    """Each emotion moves the face: the middle of the picture differs from the neutral one, the background does not."""
    person = _person(4)
    neutral, moved = (render(person, _portrait(person, name)) for name in ("neutral", expression))
    assert _distance(neutral[20:52, 16:48], moved[20:52, 16:48]) > 1
    assert np.array_equal(neutral[:4], moved[:4])


def test_wrinkles_and_grey_hair_come_with_age() -> None:
    """The old have deeper wrinkles and less colour in their hair than the young, on average."""
    young, old = ([_person(seed, age) for seed in range(40)] for age in (22, 75))
    assert np.mean([p.skin.wrinkles for p in young]) + 0.5 < np.mean([p.skin.wrinkles for p in old])
    chroma = [[max(p.hair.colour) - min(p.hair.colour) for p in group] for group in (young, old)]
    assert np.mean(chroma[0]) > 2 * np.mean(chroma[1])


def test_children_have_no_beard_and_women_hardly_ever() -> None:
    """Beards grow on grown men only."""
    assert not any(_person(seed, age=12, feminine=0.1).hair.beard for seed in range(60))
    assert not any(_person(seed, age=40, feminine=1.0).hair.beard for seed in range(60))
    assert any(_person(seed, age=40, feminine=0.1).hair.beard for seed in range(60))


@pytest.mark.parametrize("yaw", [-0.4, 0.0, 0.4])
def test_the_head_turns(yaw: float) -> None:
    """A head turned to the right has the end of its nose on the right of the picture; to the left, on the left."""
    person = replace(_person(2), lean=0.0)
    photo = replace(_portrait(person), yaw=yaw)
    surface = head_surface(person, photo, *head_grid(photo, 64))
    column = int(np.argmax((surface.relief * (surface.cover == 1)).max(axis=0)))
    assert np.sign(round((column - 31.5) / 4)) == np.sign(yaw)


def test_glasses_can_be_taken_off() -> None:
    """Glasses change the region of the eyes and leave the mouth alone."""
    person = _person(6)
    bare = _portrait(person)
    without, worn = render(person, bare), render(person, replace(bare, glasses=True))
    assert _distance(without[24:36], worn[24:36]) > 2
    assert np.array_equal(without[48:], worn[48:])


def test_a_faint_expression_is_a_smaller_movement() -> None:
    """Scaling an expression scales every movement."""
    assert EXPRESSIONS["anger"].scaled(0.5).brow_inner == -0.5
    assert EXPRESSIONS["anger"].scaled(0.0) == Expression()


def test_a_subject_is_the_same_whatever_the_number_of_subjects() -> None:
    """Adding people leaves the others' photos and labels as they were."""
    few, more = (
        {shot.photo.seed: shot for shot in shots(replace(TINY, subjects=number)) if shot.subject == "person-00001"}
        for number in (2, 5)
    )
    assert few == more
    assert len({id(shot.person) for shot in few.values()}) == 1


def test_the_default_data_set_is_large_and_has_every_class(default: list[Shot]) -> None:
    """At least 2,000 images of at least 200 people with 6 to 14 photos each, and every class of every label."""
    photos = Counter(shot.subject for shot in default)
    assert len(default) >= 2000
    assert len(photos) >= 200
    assert min(photos.values()) >= 6
    assert max(photos.values()) <= 14
    for label, names in CLASSES.items():
        counts = Counter(shot.labels[label] for shot in default)
        assert set(counts) == set(names)
        assert min(counts.values()) > 0.25 * len(default) / len(names)


def test_labels_are_as_noisy_as_stated(default: list[Shot]) -> None:
    """About the stated share of a person's photos departs from the age group that most of them carry."""
    by_subject: dict[str, list[str]] = {}
    for shot in default:
        by_subject.setdefault(shot.subject, []).append(shot.labels["age_group"])
    departures = [sum(name != Counter(names).most_common(1)[0][0] for name in names) for names in by_subject.values()]
    share = sum(departures) / sum(map(len, by_subject.values()))
    assert share == pytest.approx(LABEL_NOISE["age_group"], abs=0.03)


def test_gender_and_young_belong_to_the_person() -> None:
    """The labels without noise are the same in all photos of a person."""
    people: dict[str, set[tuple[str, str]]] = {}
    for shot in shots(Recipe(subjects=30)):
        people.setdefault(shot.subject, set()).add((shot.labels["gender"], shot.labels["young"]))
    assert all(len(labels) == 1 for labels in people.values())


def test_the_same_recipe_writes_the_same_bytes(tmp_path: Path) -> None:
    """Two folders made by one recipe hold the same files, byte for byte; another seed gives others."""
    assert generate(tmp_path / "a", TINY)
    assert generate(tmp_path / "b", TINY)
    assert _bytes_below(tmp_path / "a") == _bytes_below(tmp_path / "b")
    generate(tmp_path / "c", replace(TINY, seed=6))
    assert _bytes_below(tmp_path / "a")[f"{IMAGES}/000000.png"] != _bytes_below(tmp_path / "c")[f"{IMAGES}/000000.png"]


def test_the_folder_holds_what_its_table_lists(tmp_path: Path) -> None:
    """One row an image, each of the stated size, under names that do not say who is on it."""
    root = tmp_path / "raw"
    generate(root, TINY)
    with (root / LABELS).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == [f"{IMAGES}/{number:06d}.png" for number in range(len(rows))]
    assert {path.name for path in (root / IMAGES).iterdir()} == {Path(row["image"]).name for row in rows}
    assert list(rows[0]) == ["image", "subject_id", *CLASSES]
    subjects = [row["subject_id"] for row in rows]
    assert subjects != sorted(subjects)
    with Image.open(root / rows[0]["image"]) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (16, 16))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_generating_again_touches_nothing(tmp_path: Path) -> None:
    """The same recipe on its own folder is a no-op: an image erased since does not come back."""
    generate(tmp_path, TINY)
    erased = tmp_path / IMAGES / "000000.png"
    erased.unlink()
    before = _bytes_below(tmp_path)
    assert not generate(tmp_path, TINY)
    assert _bytes_below(tmp_path) == before


def test_other_content_is_not_overwritten(tmp_path: Path) -> None:
    """A folder that holds anything else is refused and left as it is; so is a file in its place."""
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(BadInput, match="other content"):
        generate(tmp_path, TINY)
    assert _bytes_below(tmp_path) == {"holiday.jpg": b"mine"}
    with pytest.raises(BadInput, match="other content"):
        generate(tmp_path / "holiday.jpg", TINY)


def test_faces_of_another_seed_are_not_overwritten(tmp_path: Path) -> None:
    """The same folder with another seed is refused with a message that says so."""
    generate(tmp_path, TINY)
    with pytest.raises(BadInput, match="another seed"):
        generate(tmp_path, replace(TINY, seed=6))
    assert json.loads((tmp_path / RECIPE).read_text())["seed"] == 5


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where drawing breaks off, neither the folder nor a temporary one stays."""
    monkeypatch.setattr(RENDER, lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate(tmp_path / "raw", TINY)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Below a file there is no folder: one line says so instead of a traceback."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="can be written"):
        generate(tmp_path / "file" / "raw", TINY)


def test_two_generators_at_once_make_one_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finishes second finds the same data set in place and leaves it."""
    rival = tmp_path / "raw"

    def overtaken(person: Person, photo: Photo, size: int) -> NDArray[np.uint8]:
        monkeypatch.setattr(RENDER, render)
        assert generate(rival, TINY)
        return render(person, photo, size)

    monkeypatch.setattr(RENDER, overtaken)
    assert not generate(rival, TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("wrong", [{"subjects": 0}, {"seed": -1}, {"size": 8}, {"size": 4096}])
def test_a_recipe_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    """Numbers that make no data set are named with their range."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Recipe(**wrong)


def test_the_command_reports_bad_input_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input ends the command with status 2 and one line."""
    assert main(["--root", str(tmp_path / "raw"), "--subjects", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_writes_the_data_set(tmp_path: Path) -> None:
    """``python -m dlfd_ops.data.synthetic_faces`` writes the folder and says nothing about it, twice."""
    command = [sys.executable, "-W", "error", "-m", "dlfd_ops.data.synthetic_faces", "--root", "raw"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "--subjects", "2", "--seed", "5", "--size", "16"],
            cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "raw" / LABELS).is_file()


def test_the_age_groups_meet_without_a_gap() -> None:
    """Each age group begins where the one before ends."""
    spans = list(AGE_SPANS.values())
    assert all(before[1] == after[0] for before, after in pairwise(spans))
