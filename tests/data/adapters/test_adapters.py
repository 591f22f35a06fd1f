"""The contract of every adapter on a tiny copy of its published layout, and each one's own rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from dlfd_ops.data.adapters import ADAPTERS, Source
from dlfd_ops.data.adapters.adapter import AGE_GROUPS, list_images
from dlfd_ops.data.adapters.celeba import read_celeba
from dlfd_ops.data.adapters.lfw import read_lfw
from dlfd_ops.data.adapters.manifest_csv import read_manifest_csv
from dlfd_ops.data.adapters.mufac import read_mufac
from dlfd_ops.data.adapters.raf_db import read_raf_db
from dlfd_ops.data.adapters.utkface import read_utkface
from dlfd_ops.data.manifest import SPLITS
from dlfd_ops.data.problems import Reason
from dlfd_ops.errors import BadInput

_MUFAC_HEADER = "family_id,person_id,age_class,image_path\n"


def touch(root: Path, *names: str) -> None:
    """Make files; adapters open no image, so they may be anything."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"image")


def make_mufac(root: Path) -> None:
    """One person with two family names, and one row of an unknown class."""
    touch(root, "train_images/F0001_AGE_D_18_a1.jpg", "val_images/F0002_AGE_M_45_a1.jpg")
    touch(root, "test_images/F0007_AGE_D_18_a1.jpg", "fixed_val_dataset/unused.jpg")
    rows = "F0001,D,c,F0001_AGE_D_18_a1.jpg\nF0001,D,z,F0001_AGE_D_19_a1.jpg\n"
    (root / "custom_train_dataset.csv").write_text(_MUFAC_HEADER + rows)
    (root / "custom_val_dataset.csv").write_text(_MUFAC_HEADER + "F0002,M,E,F0002_AGE_M_45_a1.jpg\n")
    (root / "custom_test_dataset.csv").write_text(_MUFAC_HEADER + "F0007,D,c,F0007_AGE_D_18_a1.jpg\n")


def make_raf_db(root: Path) -> None:
    """Folders per class, and a folder that is no class."""
    touch(root, "train/4/train_00001_aligned.jpg", "train/1/train_00002_aligned.jpg")
    touch(root, "test/7/test_0001_aligned.jpg", "train/8/train_00003_aligned.jpg", "train_labels.csv")


def make_celeba(root: Path) -> None:
    """Two people, and a row with an attribute of 0."""
    folder = root / "celeba"
    touch(folder, *(f"img_align_celeba/00000{number}.jpg" for number in (1, 2, 3, 4)))
    (folder / "list_attr_celeba.txt").write_text(
        "4\nSmiling Male Young\n000001.jpg  1 -1  1\n000002.jpg -1  1 -1\n000003.jpg  1  1  1\n000004.jpg  0  1  1\n"
    )
    (folder / "identity_CelebA.txt").write_text("000001.jpg 7\n000002.jpg 9\n000003.jpg 7\n000004.jpg 9\n")
    (folder / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 0\n")


def make_utkface(root: Path) -> None:
    """The published spellings, and a published name that lacks its race."""
    touch(root, "part1/26_0_1_20170116220224657 .jpg", "part1/61_1_20170109142408075.jpg", "landmarks.txt")
    touch(root, "part2/100_1_4_20170110183726390.jpg.chip.jpg", "part2/6_1_0_20170109150557335jpg.chip.jpg")


def make_lfw(root: Path) -> None:
    """Three people; a picture on no list and one on both take their person's gender, an unlisted person has none."""
    touch(root, *(f"lfw/Jane_Roe/Jane_Roe_000{number}.jpg" for number in (1, 2, 3)))
    touch(root, "lfw/John_Doe/John_Doe_0001.jpg", "lfw/No_One/No_One_0001.jpg")
    (root / "female_names.txt").write_text("Jane_Roe_0001.jpg\nJane_Roe_0003.jpg\n\n")
    (root / "male_names.txt").write_text("folder\\John_Doe_0001.jpg\nJane_Roe_0003.jpg\n")


def make_manifest_csv(root: Path) -> None:
    """Labels of text and numbers, a person without a name, and a row that lacks a cell."""
    names = [f"images/{number}.jpg" for number in range(6)]
    touch(root, *names)
    (root / "manifest.csv").write_text(
        "image,subject_id,split,age,gender,note,source\n"
        "images/0.jpg,Ann,train,9,f,n0,x\nimages/1.jpg,Ann,train,10,f,n1,x\nimages/2.jpg,,val,9,m,n2,x\n"
        "images/3.jpg,Bob,test,10,m,n3,x\nimages/4.jpg,Bob,nowhere,9,m,n4,x\nimages/5.jpg,Bob\n"
    )


def make_synthetic(root: Path) -> None:
    """The embedded faces, as their generator writes them, and a row with an unknown label."""
    from dlfd_ops.data.synthetic_faces.dataset import CLASSES, LABELS

    touch(root, "images/0.png")
    columns = ["image", "subject_id", *CLASSES]
    good = ["images/0.png", "p1", *(names[0] for names in CLASSES.values())]
    bad = ["images/1.png", "p2", *("nothing" for _ in CLASSES)]
    (root / LABELS).parent.mkdir(parents=True, exist_ok=True)
    (root / LABELS).write_text("".join(",".join(row) + "\n" for row in (columns, good, bad)))


def make_image_folder(root: Path) -> None:
    """Published parts with class folders, one person in a folder of their own, and an image of no class."""
    touch(root, "train/old/Ann/1.jpg", "train/old/2.jpg", "val/young/3.jpg", "test/old/4.jpg", "test/a/b/c/5.jpg")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "celeba": make_celeba,
    "image_folder": make_image_folder,
    "lfw": make_lfw,
    "manifest_csv": make_manifest_csv,
    "mufac": make_mufac,
    "raf_db": make_raf_db,
    "synthetic": make_synthetic,
    "utkface": make_utkface,
}


@pytest.fixture(params=sorted(ADAPTERS))
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Source]:
    """The folder and the reading of one adapter's layout."""
    LAYOUTS[request.param](tmp_path)
    return tmp_path, ADAPTERS[request.param](tmp_path)


def test_every_adapter_is_under_contract() -> None:
    """A new adapter comes with a layout here."""
    assert set(LAYOUTS) == set(ADAPTERS)


def test_records_are_complete(published: tuple[Path, Source]) -> None:
    """Every record has an existing file below the root, a known class for every label, and a known split or none."""
    root, source = published
    assert source.records
    for record in source.records:
        assert (root / record.path).is_file()
        assert not record.path.is_absolute()
        assert set(record.labels) == set(source.classes)
        assert all(name in source.classes[label] for label, name in record.labels.items())
        assert record.split is None or record.split in SPLITS
        assert record.subject != ""


def test_bad_rows_are_reported_not_dropped(published: tuple[Path, Source]) -> None:
    """Every layout here has a bad row: it is a problem with its reason, not an error and not a gap."""
    _, source = published
    assert source.problems
    assert all(isinstance(problem.reason, Reason) for problem in source.problems)


@pytest.mark.parametrize(
    ("name", "subjects"),
    [
        ("celeba", {"9"}),
        ("image_folder", {"b"}),
        ("lfw", {"No_One"}),
        ("manifest_csv", {"Bob"}),
        ("mufac", {"F0001_D"}),
        ("raf_db", {None}),
        ("utkface", {None}),
    ],
)
def test_bad_rows_tell_whose_they_are(name: str, subjects: set[str | None], tmp_path: Path) -> None:
    """A photo that is not used is somebody's all the same: an erasure must find it."""
    LAYOUTS[name](tmp_path)
    assert {problem.subject for problem in ADAPTERS[name](tmp_path).problems} == subjects


def test_places_name_neither_files_nor_people(published: tuple[Path, Source]) -> None:
    """What may be printed holds no image name and no subject, and is unique to the row."""
    _, source = published
    places = [record.where for record in source.records] + [problem.where for problem in source.problems]
    assert len(set(places)) == len(places)
    for record in source.records:
        for place in places:
            assert record.path.name not in place
            assert record.subject is None or len(record.subject) < 3 or record.subject not in place


def test_the_tables_behind_the_places_are_told(published: tuple[Path, Source]) -> None:
    """They are files, and every line that a place names is a line of one of them."""
    root, source = published
    assert all((root / table).is_file() for table in source.tables)
    named = {row.where.split(" line ")[0] for row in source.rows if " line " in row.where}
    assert named <= {table.name for table in source.tables}


def test_reading_is_repeatable(published: tuple[Path, Source], request: pytest.FixtureRequest) -> None:
    """The same folder gives the same source, in the same order."""
    root, source = published
    (name,) = [name for name in ADAPTERS if f"[{name}]" in request.node.name]
    assert ADAPTERS[name](root) == source


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_empty_folder_is_a_plain_error(name: str, tmp_path: Path) -> None:
    """A folder without the layout ends in one line that says so."""
    with pytest.raises(BadInput, match="published layout"):
        ADAPTERS[name](tmp_path)


def test_mufac(tmp_path: Path) -> None:
    """A person is family and person id; the class letters are the paper's age groups, in either case."""
    make_mufac(tmp_path)
    source = read_mufac(tmp_path)
    assert source.classes == {"age_group": AGE_GROUPS}
    assert [(r.subject, r.labels["age_group"], r.split, r.path.parent.name) for r in source.records] == [
        ("F0001_D", "13-19", "train", "train_images"),
        ("F0002_M", "31-45", "validation", "val_images"),
        ("F0007_D", "13-19", "test", "test_images"),
    ]
    assert [(p.where, p.reason) for p in source.problems] == [("custom_train_dataset.csv line 3", Reason.UNKNOWN_LABEL)]


def test_mufac_in_the_folder_it_unpacks_to(tmp_path: Path) -> None:
    """One folder deeper is found, and other csv names too."""
    folder = tmp_path / "custom_korean_family_dataset_resolution_128"
    make_mufac(folder)
    (folder / "custom_val_dataset.csv").rename(folder / "Val.csv")
    source = read_mufac(tmp_path)
    assert len(source.records) == 3
    assert all((tmp_path / record.path).is_file() for record in source.records)


def test_mufac_with_two_tables_for_a_part_is_refused(tmp_path: Path) -> None:
    """Which one is meant can't be guessed."""
    make_mufac(tmp_path)
    (tmp_path / "train_copy.csv").write_text(_MUFAC_HEADER)
    with pytest.raises(BadInput, match="exactly one csv file whose name contains train"):
        read_mufac(tmp_path)


def test_mufac_without_a_column_is_refused(tmp_path: Path) -> None:
    """The missing column is named."""
    make_mufac(tmp_path)
    (tmp_path / "custom_val_dataset.csv").write_text("family_id,person_id,image_path\n")
    with pytest.raises(BadInput, match="no column age_class"):
        read_mufac(tmp_path)


def test_raf_db_folders(tmp_path: Path) -> None:
    """Class folders are numbers or names; each photo is its own subject; the parts are the published ones."""
    make_raf_db(tmp_path)
    touch(tmp_path, "train/Happy/train_00009_aligned.jpg")
    source = read_raf_db(tmp_path)
    assert Counter((r.labels["emotion"], r.split, r.subject) for r in source.records) == {
        ("happiness", "train", None): 2,
        ("surprise", "train", None): 1,
        ("neutral", "test", None): 1,
    }
    assert [problem.reason for problem in source.problems] == [Reason.UNKNOWN_LABEL]
    assert source.classes["emotion"].index("neutral") == 6


def test_raf_db_archive(tmp_path: Path) -> None:
    """The authors' own archive: a list of labels and one folder of aligned images."""
    touch(tmp_path, "basic/Image/aligned/train_00001_aligned.jpg", "basic/Image/aligned/test_0001_aligned.jpg")
    touch(tmp_path, "basic/EmoLabel/list_patition_label.txt")
    listing = tmp_path / "basic" / "EmoLabel" / "list_patition_label.txt"
    listing.write_text("train_00001.jpg 5\ntest_0001.jpg 4\ntrain_00002.jpg 9\nnonsense\n")
    source = read_raf_db(tmp_path)
    assert [(r.labels["emotion"], r.split) for r in source.records] == [("sadness", "train"), ("happiness", "test")]
    assert all((tmp_path / record.path).is_file() for record in source.records)
    assert [problem.reason for problem in source.problems] == [Reason.UNKNOWN_LABEL, Reason.MALFORMED_ROW]
    assert list(source.tables) == [listing.relative_to(tmp_path)]


def test_celeba(tmp_path: Path) -> None:
    """Attributes are found by name, people by the identity file, parts by the partition file."""
    make_celeba(tmp_path)
    source = read_celeba(tmp_path)
    assert [(r.subject, r.split, dict(r.labels)) for r in source.records] == [
        ("7", "train", {"gender": "female", "age": "young", "expression": "smiling"}),
        ("9", "validation", {"gender": "male", "age": "old", "expression": "not_smiling"}),
        ("7", "test", {"gender": "male", "age": "young", "expression": "smiling"}),
    ]
    assert [problem.reason for problem in source.problems] == [Reason.UNKNOWN_LABEL]
    assert all(len(names) == 2 for names in source.classes.values())


def test_celeba_without_an_identity_is_not_guessed(tmp_path: Path) -> None:
    """A photo of an unknown person could be anybody's: its row is refused; without the file, all of it."""
    make_celeba(tmp_path)
    identities = tmp_path / "celeba" / "identity_CelebA.txt"
    identities.write_text("000001.jpg 7\n")
    assert Counter(p.reason for p in read_celeba(tmp_path).problems) == {Reason.MALFORMED_ROW: 3}
    identities.unlink()
    with pytest.raises(BadInput, match="identity_CelebA"):
        read_celeba(tmp_path)


def test_celeba_without_partition_and_folder(tmp_path: Path) -> None:
    """The root may be the celeba folder itself; without the partition file no split is published."""
    make_celeba(tmp_path)
    (tmp_path / "celeba" / "list_eval_partition.txt").unlink()
    assert {record.split for record in read_celeba(tmp_path / "celeba").records} == {None}


def test_utkface(tmp_path: Path) -> None:
    """Labels come from the name, whatever its ending; a name without a race is refused."""
    make_utkface(tmp_path)
    source = read_utkface(tmp_path)
    assert {tuple(record.labels.values()) for record in source.records} == {
        ("20-30", "male", "black"),
        ("67+", "female", "others"),
        ("0-6", "female", "white"),
    }
    assert [problem.reason for problem in source.problems] == [Reason.MALFORMED_NAME]


@pytest.mark.parametrize(
    ("age", "group"), [(0, 0), (6, 0), (7, 1), (12, 1), (13, 2), (20, 3), (31, 4), (46, 5), (56, 6), (66, 6), (67, 7)]
)
def test_utkface_age_groups(age: int, group: int, tmp_path: Path) -> None:
    """The bounds of the age groups are inclusive."""
    touch(tmp_path, f"{age}_0_0_20170116220224657.jpg")
    (record,) = read_utkface(tmp_path).records
    assert record.labels["age_group"] == AGE_GROUPS[group]


@pytest.mark.parametrize("name", ["300_0_0", "20_2_0", "20_0_5"])
def test_utkface_unknown_labels(name: str, tmp_path: Path) -> None:
    """An impossible age, gender or race is a bad row."""
    touch(tmp_path, f"{name}_20170116220224657.jpg")
    (problem,) = read_utkface(tmp_path).problems
    assert problem.reason is Reason.UNKNOWN_LABEL


def test_lfw(tmp_path: Path) -> None:
    """A folder is a person; pictures on no list or both take their person's gender, else they are refused."""
    make_lfw(tmp_path)
    source = read_lfw(tmp_path)
    assert Counter((record.subject, record.labels["gender"]) for record in source.records) == {
        ("Jane_Roe", "female"): 3,
        ("John_Doe", "male"): 1,
    }
    assert [problem.reason for problem in source.problems] == [Reason.UNKNOWN_LABEL]


def test_lfw_without_lists_is_refused(tmp_path: Path) -> None:
    """The published pictures alone carry no label; half of the lists is none."""
    make_lfw(tmp_path)
    (tmp_path / "male_names.txt").unlink()
    with pytest.raises(BadInput, match=r"male_names\.txt"):
        read_lfw(tmp_path)


def test_lfw_refuses_a_picture_in_a_foreign_folder(tmp_path: Path) -> None:
    """Whose it is can't be guessed."""
    make_lfw(tmp_path)
    touch(tmp_path, "lfw/John_Doe/Jane_Roe_0009.jpg")
    assert Reason.MALFORMED_NAME in {problem.reason for problem in read_lfw(tmp_path).problems}


def test_image_folder(tmp_path: Path) -> None:
    """Folders are split, class and person; without split folders the first one is the class."""
    make_image_folder(tmp_path)
    source = ADAPTERS["image_folder"](tmp_path)
    assert source.classes == {"class": ("old", "young")}
    assert [(record.split, record.labels["class"], record.subject) for record in source.records] == [
        ("test", "old", None),
        ("train", "old", None),
        ("train", "old", "Ann"),
        ("validation", "young", None),
    ]
    assert [problem.reason for problem in source.problems] == [Reason.UNKNOWN_LABEL]
    touch(tmp_path, "other/young/6.jpg")
    assert {record.split for record in ADAPTERS["image_folder"](tmp_path).records} == {None}


def test_manifest_csv_with_columns_of_other_names(tmp_path: Path) -> None:
    """A table's own names are read as ours; a column that takes one of ours by chance is left out."""
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    rows = "a.jpg,1,Ann,train,f\nb.jpg,2,Ann,test,f\nc.jpg,3,Bob,train,m\nd.jpg,4,,val,m\n"
    (tmp_path / "table.csv").write_text("file,image,who,fold,gender\n" + rows)
    columns = {"image": "file", "subject_id": "who", "split": "fold"}
    source = read_manifest_csv(tmp_path, columns)
    assert source.classes == {"gender": ("f", "m")}
    assert [(str(r.path), r.subject, r.split) for r in source.records] == [
        ("a.jpg", "Ann", "train"),
        ("b.jpg", "Ann", "test"),
        ("c.jpg", "Bob", "train"),
        ("d.jpg", None, "validation"),
    ]
    with pytest.raises(BadInput, match="no column photo"):
        read_manifest_csv(tmp_path, {"image": "photo"})


def test_manifest_csv(tmp_path: Path) -> None:
    """Integers are sorted as numbers; constants and identifiers are no labels; an empty subject is none."""
    make_manifest_csv(tmp_path)
    source = read_manifest_csv(tmp_path)
    assert source.classes == {"age": ("9", "10"), "gender": ("f", "m")}
    assert [record.subject for record in source.records] == ["Ann", "Ann", None, "Bob", "Bob"]
    assert [record.split for record in source.records] == ["train", "train", "validation", "test", None]
    assert [(p.where, p.reason) for p in source.problems] == [("manifest.csv line 7", Reason.MALFORMED_ROW)]


def test_manifest_csv_with_a_missing_label(tmp_path: Path) -> None:
    """An empty cell in a label column is a bad row; the error names the column."""
    make_manifest_csv(tmp_path)
    table = tmp_path / "manifest.csv"
    table.write_text(table.read_text().replace("2.jpg,,val,9,m", "2.jpg,,val,9,"))
    assert ("manifest.csv line 4, column gender", Reason.UNKNOWN_LABEL) in [
        (problem.where, problem.reason) for problem in read_manifest_csv(tmp_path).problems
    ]


def test_manifest_csv_by_another_name(tmp_path: Path) -> None:
    """A single csv file is the manifest whatever its name; of several, none."""
    make_manifest_csv(tmp_path)
    (tmp_path / "manifest.csv").rename(tmp_path / "faces.csv")
    assert len(read_manifest_csv(tmp_path).records) == 5
    (tmp_path / "more.csv").write_text("image\n")
    with pytest.raises(BadInput, match="2 csv files"):
        read_manifest_csv(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"picture\nx.jpg\n",
        b"image,image\nx,y\n",
        b"image\n\xff\xfe\n",
        b'image\n"x\n',
        b"image\n" + b"x" * 200_000,
    ],
    ids=["empty", "no image column", "twice", "no UTF-8", "open quote", "huge cell"],
)
def test_a_damaged_csv_is_a_plain_error(content: bytes, tmp_path: Path) -> None:
    """One line for the user, never a traceback."""
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(BadInput, match=r"manifest\.csv"):
        read_manifest_csv(tmp_path)


def test_listing_leaves_out_hidden_files_and_refuses_linked_folders(tmp_path: Path) -> None:
    """Hidden litter is no data; a linked folder would be overlooked, so it is an error."""
    touch(tmp_path, "b/2.JPG", "a/1.png", ".cache/3.jpg", "a/._1.png", "a/readme.txt")
    assert list_images(tmp_path) == [Path("a/1.png"), Path("b/2.JPG")]
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    with pytest.raises(BadInput, match="symbolic link"):
        list_images(tmp_path)
