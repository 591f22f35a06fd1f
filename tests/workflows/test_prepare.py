"""The prepare stage on small sources: what is kept, counted, refused, and what never leaks."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from dlfd_ops.data.identity import load_key
from dlfd_ops.data.images import load_images
from dlfd_ops.data.manifest import SPLITS, read_manifest
from dlfd_ops.data.subjects import read_aliases
from dlfd_ops.deletion.suppression import SUPPRESSION_FILE, append_suppressed, suppress_sample, suppress_subject
from dlfd_ops.errors import BadInput
from dlfd_ops.params import Params, load_params
from dlfd_ops.workflows.prepare import PREPARED, prepare
from dlfd_ops.workflows.refusals import BAD_IMAGES_FILE
from dlfd_ops.workflows.suppressing import NEAR_FILE

REPOSITORY = Path(__file__).resolve().parents[2]
RAW = Path("data/raw")


@pytest.fixture(autouse=True)
def _in_an_empty_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RAW.mkdir(parents=True)
    append_suppressed([])


def make_params(labels: tuple[str, ...] = ("age",), size: int = 16, **prepare_section: Any) -> Params:
    """Return the shipped parameters with another source."""
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    values["base"] |= {"labels": list(labels), "image_size": size}
    values["prepare"] |= {"source": "manifest_csv"} | prepare_section
    Path("params.yaml").write_text(yaml.safe_dump(values))
    return load_params()


def draw(path: Path, seed: int) -> bytes:
    """Write an image that no other seed gives; return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels, "RGB").save(path)
    return path.read_bytes()


def make_source(people: int = 20, photos: int = 2, split: Callable[[int], str] = lambda person: "") -> list[str]:
    """Write a manifest source; return its lines, so that a test can add some and write them again."""
    lines = ["image,subject_id,split,age"]
    for person in range(people):
        for photo in range(photos):
            name = f"images/Person_{person}_{photo}.png"
            draw(RAW / name, 100 * person + photo)
            lines.append(f"{name},Person_{person},{split(person)},{person % 3}")
    write_lines(lines)
    return lines


def write_lines(lines: list[str]) -> None:
    """Write the manifest of the source."""
    (RAW / "manifest.csv").write_text("\n".join(lines) + "\n")


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def text_of(folder: Path) -> str:
    """Return every path and every byte below ``folder`` as one text."""
    return "".join(name + content.decode("latin-1") for name, content in tree(folder).items())


def test_a_source_becomes_a_manifest_with_its_images() -> None:
    """Every row is a sample named by its keyed hash, with its person, split, labels and a readable image."""
    make_source()
    report = prepare(make_params())
    manifest = read_manifest(PREPARED / "manifest.parquet")
    key = load_key()
    assert manifest.info.key_id == key.key_id == Path("deletion/key_id.txt").read_text().strip()
    assert manifest.info.classes == {"age": ("0", "1", "2")}
    assert set(manifest.rows["subject_key"]) == {key.subject_key(f"Person_{person}") for person in range(20)}
    one = (RAW / "images" / "Person_7_1.png").read_bytes()
    row = manifest.rows.set_index("sample_id").loc[key.sample_id(one)]
    assert (row["subject_key"], row["age"]) == (key.subject_key("Person_7"), 7 % 3)
    assert load_images(manifest, ("age",)).images.shape == (40, 3, 16, 16)
    assert list(manifest.rows["sample_id"]) == sorted(manifest.rows["sample_id"])
    assert (report.read, report.kept, report.duplicates, report.skipped) == (40, 40, 0, {})
    people = {split: count.subjects for split, count in report.splits.items()}
    assert people == manifest.rows.groupby("split")["subject_key"].nunique().to_dict()
    assert sum(people.values()) == 20
    assert max(people, key=lambda split: people[split]) == "train"


def test_report_holds_numbers_only_and_adds_up() -> None:
    """``report.json`` is the returned report; rows read are kept, duplicates or skipped."""
    lines = make_source()
    write_lines([*lines, lines[1], "images/gone.png,Person_0,,0"])
    report = prepare(make_params(on_bad_image="skip"))
    stored = json.loads((PREPARED / "report.json").read_text())
    assert stored["skipped"] == {"missing": 1}
    assert stored["read"] == stored["kept"] + stored["duplicates"] + 1 == report.read
    assert stored["kept"] == sum(split["images"] for split in stored["splits"].values())
    assert "Person" not in json.dumps(stored)


def test_it_is_repeatable_byte_by_byte() -> None:
    """Running again, also over an older result and with the rows in another order, writes the same files."""
    lines = make_source()
    prepare(make_params())
    first = tree(PREPARED)
    (PREPARED / "stale.png").write_bytes(b"")
    write_lines([lines[0], *reversed(lines[1:])])
    prepare(make_params())
    assert tree(PREPARED) == first
    assert [path.name for path in PREPARED.parent.iterdir() if path.name not in {"raw", "prepared"}] == []


def test_another_key_renames_everybody_and_moves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotating the key must not turn people that a model trained on into test people."""
    make_source()

    def split_of_photo(seed: str) -> dict[bytes, str]:
        monkeypatch.setenv("DLFD_SECRET_KEY", seed * 32)
        Path("deletion/key_id.txt").unlink(missing_ok=True)
        prepare(make_params())
        rows = read_manifest(PREPARED / "manifest.parquet").rows
        return {(PREPARED / path).read_bytes(): split for path, split in zip(rows["path"], rows["split"], strict=True)}

    assert split_of_photo("ab") == split_of_photo("cd")


def test_no_raw_identity_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither names nor plain hashes of photos stand in any output."""
    make_source()
    prepare(make_params())
    written = text_of(PREPARED) + "".join(capfd.readouterr())
    assert "Person" not in written
    for photo in (RAW / "images").iterdir():
        assert hashlib.sha256(photo.read_bytes()).hexdigest() not in written


def test_duplicates_are_one_sample_and_shared_photos_one_person() -> None:
    """Copies are dropped and counted; two names with one photo are one person, found by either name."""
    lines = make_source()
    (RAW / "images" / "copy.png").write_bytes((RAW / "images" / "Person_3_0.png").read_bytes())
    write_lines([*lines, "images/copy.png,Person_4,,1"])
    report = prepare(make_params())
    manifest, key = read_manifest(PREPARED / "manifest.parquet"), load_key()
    aliases = read_aliases(PREPARED / "aliases.csv")
    assert (report.kept, report.duplicates, report.merged_subjects, report.conflicting_labels) == (40, 1, 1, 1)
    names = {key.subject_key("Person_3"), key.subject_key("Person_4")}
    known = names & set(manifest.rows["subject_key"])
    assert len(known) == 1
    assert aliases == {(names - known).pop(): known.copy().pop()}
    assert (manifest.rows["subject_key"] == known.pop()).sum() == 4


REQUEST = "req-0123456789ab"


def test_who_was_forgotten_does_not_come_back(caplog: pytest.LogCaptureFixture) -> None:
    """A listed person goes with every photo, a listed photo alone, and nobody else moves; both are counted."""
    caplog.set_level(logging.WARNING, "dlfd_ops")
    make_source()
    before = prepare(make_params())
    first, key = read_manifest(PREPARED / "manifest.parquet"), load_key()
    photo = key.sample_id((RAW / "images" / "Person_5_0.png").read_bytes())
    append_suppressed(
        [
            suppress_subject(key.key_id, key.subject_key("Person_3"), REQUEST),
            suppress_sample(key, photo, "req-ba9876543210"),
        ]
    )
    report = prepare(make_params())
    manifest = read_manifest(PREPARED / "manifest.parquet")
    gone = set(first.rows.query(f"subject_key == '{key.subject_key('Person_3')}'")["sample_id"]) | {photo}
    assert set(first.rows["sample_id"]) - set(manifest.rows["sample_id"]) == gone
    assert manifest.rows.equals(first.without(gone).rows)
    assert not [path for path in PREPARED.rglob("*.png") if path.stem in gone]
    assert (before.suppressed, report.suppressed, manifest.info.suppressed) == (0, 3, 3)
    assert report.read == report.kept + report.suppressed + report.duplicates
    assert "3 images of 2 people" in caplog.text
    for name in ("Person_3_0", "Person_3_1", "Person_5_0"):
        (RAW / f"images/{name}.png").unlink()
    assert prepare(make_params(on_bad_image="skip")).suppressed == 0
    assert read_manifest(PREPARED / "manifest.parquet").digest() == manifest.digest()


def test_a_name_in_another_spelling_does_not_come_back_either() -> None:
    """Suppressed with its accents composed, delivered with them apart: the same person, in the same split as before."""
    lines = make_source()

    def name_person_3(name: str) -> None:
        write_lines([line.replace(",Person_3,", f",{name},") for line in lines])

    composed, apart = (unicodedata.normalize(form, "José Pérez") for form in ("NFC", "NFD"))
    params = make_params()
    name_person_3(composed)
    prepare(params)
    before, key = read_manifest(PREPARED / "manifest.parquet"), load_key()
    name_person_3(apart)
    prepare(params)
    assert read_manifest(PREPARED / "manifest.parquet").digest() == before.digest()
    append_suppressed([suppress_subject(key.key_id, key.subject_key(composed), REQUEST)])
    assert prepare(params).suppressed == 2


def test_another_encoding_of_a_suppressed_photo_is_reported_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A person must decide: the private file names the row, the log a number only."""
    caplog.set_level(logging.WARNING, "dlfd_ops")
    lines = make_source()
    prepare(make_params())
    key, original = load_key(), RAW / "images" / "Person_3_0.png"
    sample_id = key.sample_id(original.read_bytes())
    prepared = PREPARED / "images" / sample_id[:2] / f"{sample_id}.png"
    append_suppressed([suppress_sample(key, sample_id, REQUEST, prepared)])
    Image.open(original).save(RAW / "images/again.webp", lossless=True)
    write_lines([*lines, "images/again.webp,Person_19,,0"])
    report = prepare(make_params())
    assert (report.suppressed, report.near_suppressed, report.kept) == (1, 1, 40)
    assert "images/again.webp" in NEAR_FILE.read_text()
    assert REQUEST in NEAR_FILE.read_text()
    assert stat.S_IMODE(NEAR_FILE.stat().st_mode) == 0o600
    assert "1 kept images look like" in caplog.text
    assert "again" not in caplog.text
    write_lines(lines)
    assert prepare(make_params()).near_suppressed == 0
    assert not NEAR_FILE.exists()


def test_a_lost_suppression_list_stops_the_stage() -> None:
    """Without it the forgotten would come back unseen."""
    make_source()
    SUPPRESSION_FILE.unlink()
    with pytest.raises(BadInput, match="suppression"):
        prepare(make_params())
    assert not PREPARED.exists()


def make_mufac() -> None:
    """Published layout: 30 people, one of them under a second family name with the same photos in another part."""
    parts = {"train": range(18), "val": range(18, 24), "test": range(24, 30)}
    for part, people in parts.items():
        rows = ["family_id,person_id,age_class,image_path"]
        for person in people:
            name = f"F{person:04d}_AGE_D_18_a1.jpg"
            draw(RAW / f"{part}_images" / name, person)
            rows.append(f"F{person:04d},D,{'abcdefgh'[person % 8]},{name}")
        (RAW / f"custom_{part}_dataset.csv").write_text("\n".join(rows) + "\n")
    for part, person, photo in (("test", 90, 2), ("val", 91, 2), ("test", 92, 20)):
        source = next(RAW.glob(f"*_images/F{photo:04d}_AGE_D_18_a1.jpg"))
        name = f"F{person:04d}_AGE_D_18_a1.jpg"
        (RAW / f"{part}_images" / name).write_bytes(source.read_bytes())
        with (RAW / f"custom_{part}_dataset.csv").open("a") as table:
            table.write(f"F{person:04d},D,{'abcdefgh'[photo % 8]},{name}\n")


@pytest.mark.parametrize("split_by", ["subject", "source"])
def test_mufac_people_under_several_family_names(split_by: str) -> None:
    """They are merged, counted, and stand in one split; with published parts in train where they are in it."""
    make_mufac()
    report = prepare(make_params(("age_group",), source="mufac", split_by=split_by))
    manifest, key = read_manifest(PREPARED / "manifest.parquet"), load_key()
    aliases = read_aliases(PREPARED / "aliases.csv")
    assert (report.read, report.kept, report.duplicates, report.merged_subjects) == (33, 30, 3, 3)
    assert report.subjects_in_several_parts == 2
    splits = dict(zip(manifest.rows["subject_key"], manifest.rows["split"], strict=True))
    for names in (("F0002_D", "F0090_D", "F0091_D"), ("F0020_D", "F0092_D")):
        keys = [key.subject_key(name) for name in names]
        assert len({aliases.get(name, name) for name in keys}) == 1
    if split_by == "source":
        keys = [key.subject_key("F0002_D"), key.subject_key("F0020_D"), key.subject_key("F0026_D")]
        first, second, third = (splits[aliases.get(name, name)] for name in keys)
        assert first in {"train", "anchor"}
        assert (second, third) == ("validation", "test")
        people = {split: count.subjects for split, count in report.splits.items()}
        assert (people["validation"], people["test"]) == (6, 6)
        assert people["train"] + people["anchor"] == 18


def test_a_bad_row_stops_the_stage_and_names_its_place_only() -> None:
    """The message says line, reason and remedy; the path is in the private file; an older result stays."""
    lines = make_source()
    prepare(make_params())
    before = tree(PREPARED)
    (RAW / "images" / "Person_5_0.png").write_bytes(b"")
    with pytest.raises(BadInput) as error:
        prepare(make_params())
    line = 1 + lines.index("images/Person_5_0.png,Person_5,,2")
    assert f"manifest.csv line {line}" in str(error.value)
    assert "received empty" in str(error.value)
    assert "Person_5" not in str(error.value)
    assert "Person_5_0.png" in BAD_IMAGES_FILE.read_text()
    assert stat.S_IMODE(BAD_IMAGES_FILE.stat().st_mode) == 0o600
    assert tree(PREPARED) == before
    assert sorted(path.name for path in Path("data").iterdir()) == ["prepared", "raw"]


def spoil(lines: list[str]) -> list[str]:
    """Make one row of every kind that can be bad; return the new lines."""
    images = RAW / "images"
    whole = draw(images / "x.png", 1)
    (images / "empty.png").write_bytes(b"")
    (images / "half.png").write_bytes(whole[: len(whole) // 2])
    (images / "text.png").write_text("no image")
    (images / "large.png").write_bytes(whole + bytes(2_000_000))
    Image.new("L", (2000, 2000)).save(images / "bomb.png")
    (images / "link.png").symlink_to("/etc/passwd")
    os.mkfifo(images / "pipe.png")
    names = ["empty", "half", "text", "large", "bomb", "link", "pipe", "gone"]
    rows = [f"images/{name}.png,Bad_{name},,0,{''}" for name in names]
    rows += ["../../etc/passwd,Bad,,0,", "/etc/passwd,Bad,,0,", "images/x.png,Bad,,,", "images/x.png,Bad"]
    rows += ['"images/\nx.png",Bad,,0,', f"images/x.png,Bad,,0,{'0' * 64}"]
    return [lines[0] + ",sha256", *(line + "," for line in lines[1:]), *rows]


def test_bad_rows_are_skipped_and_counted_by_reason(caplog: pytest.LogCaptureFixture) -> None:
    """Every kind of bad row has its count; the log says how many and where the private list is, and no name."""
    caplog.set_level(logging.WARNING, "dlfd_ops")
    write_lines(spoil(make_source()))
    report = prepare(make_params(on_bad_image="skip", max_file_megabytes=1, max_megapixels=1))
    assert report.skipped == {
        "digest_mismatch": 1,
        "empty": 1,
        "escapes": 3,
        "malformed_row": 1,
        "missing": 2,
        "too_large": 1,
        "too_many_pixels": 1,
        "undecodable": 2,
        "unknown_label": 1,
        "unreadable": 1,
    }
    assert report.kept == 40
    assert str(BAD_IMAGES_FILE) in caplog.text
    assert "Bad" not in caplog.text
    assert len(load_images(read_manifest(PREPARED / "manifest.parquet"), ("age",))) == 40
    assert "Bad" not in text_of(PREPARED)
    private = BAD_IMAGES_FILE.read_text()
    assert "images/half.png" in private
    assert "../../etc/passwd" in private


def test_the_private_list_goes_with_its_cause() -> None:
    """After a run without bad rows, no names of an earlier run stay behind."""
    lines = make_source()
    write_lines([*lines, "images/gone.png,Gone,,0"])
    prepare(make_params(on_bad_image="skip"))
    assert BAD_IMAGES_FILE.exists()
    write_lines(lines)
    prepare(make_params(on_bad_image="skip"))
    assert not BAD_IMAGES_FILE.exists()


def test_nothing_left_is_an_error() -> None:
    """Skipping every image is no success."""
    write_lines(["image,subject_id,split,age", *(f"gone{row}.png,,,{row % 2}" for row in range(6))])
    with pytest.raises(BadInput, match="none, 6 rows refused"):
        prepare(make_params(on_bad_image="skip"))
    assert not PREPARED.exists()


def test_an_empty_split_is_an_error() -> None:
    """Too few people for four splits."""
    make_source(people=3, photos=3)
    with pytest.raises(BadInput, match="every split must hold at least one subject"):
        prepare(make_params())
    assert not PREPARED.exists()


def test_published_splits_are_followed() -> None:
    """``split_by: source`` keeps the parts; a row without a part is a bad row; a source without parts an error."""
    parts = ["train"] * 7 + ["val"] * 2 + ["test"]
    lines = make_source(split=lambda person: parts[person % 10])
    report = prepare(make_params(split_by="source"))
    assert {split: report.splits[split].subjects for split in SPLITS} == {
        "train": 12,
        "anchor": 2,
        "validation": 4,
        "test": 2,
    }
    draw(RAW / "images" / "more.png", 9999)
    write_lines([*lines, "images/more.png,More,,0"])
    with pytest.raises(BadInput, match="unknown_split"):
        prepare(make_params(split_by="source"))
    make_source()
    with pytest.raises(BadInput, match="split_by to subject"):
        prepare(make_params(split_by="source"))


def test_an_unknown_label_is_refused_with_the_known_ones() -> None:
    """The user sees what can be chosen."""
    make_source()
    with pytest.raises(BadInput, match=r"received beauty; choose from: age"):
        prepare(make_params(("beauty",)))


@pytest.mark.parametrize("root", ["nowhere", "data", ".", "data/prepared", "params.yaml"])
def test_a_wrong_root_is_a_plain_error(root: str) -> None:
    """Missing, a file, or a folder that holds or is the prepared one."""
    make_source()
    params = make_params(root=root)
    with pytest.raises(BadInput, match=r"prepare\.root"):
        prepare(params)


def test_the_root_may_lie_outside(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By an absolute path, and by a symbolic link."""
    make_source()
    outside = tmp_path_factory.mktemp("outside") / "faces"
    RAW.rename(outside)
    assert prepare(make_params(root=str(outside))).kept == 40
    Path("linked").symlink_to(outside)
    assert prepare(make_params(root="linked")).kept == 40


def test_another_key_than_the_published_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read or written."""
    make_source()
    prepare(make_params())
    before = tree(PREPARED)
    monkeypatch.setenv("DLFD_SECRET_KEY", "ab" * 32)
    with pytest.raises(BadInput, match="key id"):
        prepare(make_params())
    assert tree(PREPARED) == before


def test_the_stage_ends_with_one_line_and_status_2() -> None:
    """As ``dvc repro`` runs it: no traceback, no name."""
    make_source()
    make_params(root="nowhere")
    command = [sys.executable, str(REPOSITORY / "pipelines" / "prepare.py")]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    failed = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: prepare.root must be a folder")
    assert failed.stderr.count("\n") == 1
    make_params()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def some_faces(faces: Path, name: str, number: int) -> None:
    """Copy about ``number`` rows of a real data set, evenly taken, into this repository's raw folder."""
    header, *rows = (faces / name / "manifest.csv").read_text().splitlines()
    taken = rows[:: len(rows) // number]
    write_lines([header, *taken])
    (RAW / "images").mkdir()
    for row in taken:
        image = row.split(",")[0]
        (RAW / image).write_bytes((faces / name / image).read_bytes())


@pytest.mark.parametrize(("name", "label", "classes"), [("utkface", "age_group", 8), ("lfw", "gender", 2)])
def test_real_faces(name: str, label: str, classes: int, faces: Path) -> None:
    """Real photos in the generic layout pass whole, digests checked, with all classes in the manifest."""
    some_faces(faces, name, 300)
    report = prepare(make_params((label,), size=32))
    manifest = read_manifest(PREPARED / "manifest.parquet")
    assert report.kept == report.read >= 300
    assert len(manifest.info.classes[label]) == classes
    images = load_images(manifest, (label,)).images
    assert 10 < images[:].float().std() < 128


def test_real_faces_by_their_published_names(faces: Path) -> None:
    """UTKFace's own adapter reads the same labels from the names as the manifest states."""
    some_faces(faces, "utkface", 300)
    prepare(make_params(("age_group",)))
    by_manifest = read_manifest(PREPARED / "manifest.parquet").rows.set_index("sample_id")
    prepare(make_params(("age_group",), source="utkface"))
    manifest = read_manifest(PREPARED / "manifest.parquet")
    by_name = manifest.rows.set_index("sample_id")
    assert (by_manifest["age_group"] == by_name["age_group"]).all()
    assert (by_manifest["split"] == by_name["split"]).all()


def test_the_classes_stand_in_the_order_of_the_model() -> None:
    """``prepare.classes`` gives a label's indices; another set of names is refused."""
    make_source()
    prepare(make_params(classes={"age": ["2", "0", "1"]}))
    ordered = read_manifest(PREPARED / "manifest.parquet")
    assert ordered.info.classes == {"age": ("2", "0", "1")}
    prepare(make_params())
    plain = read_manifest(PREPARED / "manifest.parquet")
    names = [[m.info.classes["age"][index] for index in m.rows["age"]] for m in (ordered, plain)]
    assert names[0] == names[1]
    with pytest.raises(BadInput, match="the source has: 0, 1, 2"):
        prepare(make_params(classes={"age": ["2", "0"]}))


def test_a_table_keeps_its_own_column_names() -> None:
    """``prepare.columns`` reads another table as ours, and belongs to a table."""
    make_source(split=lambda person: ("train", "val", "test")[person % 3])
    lines = (RAW / "manifest.csv").read_text().replace("image,subject_id,split,age", "file,who,fold,age", 1)
    (RAW / "manifest.csv").write_text(lines)
    columns = {"image": "file", "subject_id": "who", "split": "fold"}
    prepare(make_params(columns=columns, split_by="source", draw_from="held_out"))
    by_split = read_manifest(PREPARED / "manifest.parquet").rows["split"].value_counts()
    assert by_split["train"] == 14
    assert by_split["anchor"] > 0
    with pytest.raises(BadInput, match="belongs to the source manifest_csv"):
        make_params(columns=columns, source="image_folder")
