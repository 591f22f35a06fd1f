"""Which raw files are somebody's, and which rows of a source's tables tell about them."""

from __future__ import annotations

import secrets
import unicodedata
from pathlib import Path

import pytest

from dlfd_ops.data.adapters import Source, SourceRecord
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.problems import BadRow, Reason
from dlfd_ops.data.removal import find_photos, remove_photos, rows_naming, tables_without
from dlfd_ops.errors import BadInput

KEY = SecretKey(secrets.token_bytes(32))
NO_ROWS = Source((), {}, "the folders")


def source(root: Path, **files: str) -> Path:
    """Write text files, given by name with ``__`` for a slash and ``_dot_`` for a dot."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return root


def record(path: str, subject: str | None = None, where: str = "image 1 of 2 in sorted order") -> SourceRecord:
    """Return what an adapter says about one photo."""
    return SourceRecord(Path(path), subject, {}, None, where)


def test_a_photo_is_found_by_its_bytes_under_any_name(tmp_path: Path) -> None:
    """A copy that no table names is somebody's photo too."""
    root = source(tmp_path, a__one_dot_png="face", b__other_dot_bin="face", c__two_dot_png="another")
    found = find_photos(root, KEY, sample_ids={KEY.sample_id(b"face")}, named=[])
    assert [photo.path for photo in found] == ["a/one.png", "b/other.bin"]
    assert {photo.sample_id for photo in found} == {KEY.sample_id(b"face")}


def test_a_photo_is_found_by_its_person(tmp_path: Path) -> None:
    """One that the prepare stage refused, so that no sample id is known, goes with its person."""
    root = source(tmp_path, a__broken_dot_png="", b__two_dot_png="another")
    records = [record("a/broken.png", "n1"), record("b/two.png", "n2")]
    named = rows_naming(Source(records, {}, ""), KEY, {KEY.subject_key("n1")})
    found = find_photos(root, KEY, sample_ids=set(), named=named)
    assert [photo.path for photo in found] == ["a/broken.png"]


def test_rows_go_and_all_other_bytes_stay(tmp_path: Path) -> None:
    """Quoted cells over several lines, Windows line ends and a byte-order mark survive."""
    table = '\ufeffimage,note\r\na.png,"one\r\ntwo"\r\nb.png,"three\r\nfour"\r\nsub/c.png,x\r\n'
    root = source(tmp_path, t_dot_csv=table)
    changed = tables_without(root, {"b.png", "sub/c.png"}, NO_ROWS, {"a.png"})
    assert changed == {"t.csv": '\ufeffimage,note\r\na.png,"one\r\ntwo"\r\n'}


def test_lists_name_photos_by_the_end_of_their_path(tmp_path: Path) -> None:
    """As CelebA and LFW do: white space between cells, the name alone."""
    root = source(tmp_path, list_dot_txt="2\nid x\n000001.jpg 5\n000002.jpg 6\n")
    changed = tables_without(root, {"img/000001.jpg"}, NO_ROWS, {"img/000002.jpg"})
    assert changed == {"list.txt": "2\nid x\n000002.jpg 6\n"}


def test_a_line_that_is_a_path_with_spaces_is_compared_whole(tmp_path: Path) -> None:
    """LFW's lists hold a path a line, with or without folders; a part of such a path is no name of its own."""
    rows = "\ufeffAnna Roe_0001.jpg\nfemale\\Anna Roe_0002.jpg\nBert Roe_0001.jpg\nlfw/Roe/Bert Roe_0001.jpg\n"
    root = source(tmp_path, names_dot_txt=rows)
    going = {"lfw/Anna Roe/Anna Roe_0001.jpg", "lfw/Anna Roe/Anna Roe_0002.jpg", "lfw/Roe/Roe_0001.jpg"}
    changed = tables_without(root, going, NO_ROWS, {"lfw/Roe/Bert Roe_0001.jpg"})
    assert changed == {"names.txt": "Bert Roe_0001.jpg\nlfw/Roe/Bert Roe_0001.jpg\n"}


@pytest.mark.parametrize(
    "rest", ['"never closed\nb.png,x\n', f'"{"long " * 30_000}\nb.png,x\n', '"cut" off\nb.png,x\n']
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, rest: str) -> None:
    """A row that hides behind an open quote would stay, silently."""
    root = source(tmp_path, sub__notes_dot_csv=f"image,note\na.png,{rest}")
    with pytest.raises(BadInput, match=r"the source's table sub/notes\.csv must be readable") as raised:
        tables_without(root, {"b.png"}, NO_ROWS, {"a.png"})
    assert "\n" not in str(raised.value)


def test_a_row_that_the_adapter_read_goes_whatever_it_calls_the_photo(tmp_path: Path) -> None:
    """RAF-DB's list leaves out a part of the name."""
    root = source(tmp_path, list_dot_txt="train_1.jpg 5\ntrain_2.jpg 6\n")
    read = Source(
        [record("img/train_1_aligned.jpg", where="list.txt line 1")], {}, "list.txt", tables=[Path("list.txt")]
    )
    changed = tables_without(root, {"img/train_1_aligned.jpg"}, read, {"img/train_2_aligned.jpg"})
    assert changed == {"list.txt": "train_2.jpg 6\n"}


def test_a_table_of_the_same_name_elsewhere_keeps_its_lines(tmp_path: Path) -> None:
    """Line numbers are those of the table that the adapter read; another one tells about other people."""
    rows = "image,who\na/1.png,n1\nb/1.png,n2\n"
    root = source(tmp_path, m_dot_csv=rows, notes__m_dot_csv="day,note\nmonday,of n2\na/1.png,of n1\n")
    read = Source([record("a/1.png", "n1", "m.csv line 2")], {}, "m.csv", tables=[Path("m.csv")])
    changed = tables_without(root, {"a/1.png"}, read, {"b/1.png"})
    assert changed == {"m.csv": "image,who\nb/1.png,n2\n", "notes/m.csv": "day,note\nmonday,of n2\n"}


def test_a_row_that_the_adapter_refused_is_somebodys_too(tmp_path: Path) -> None:
    """Its photo goes, and the row itself, be it that it names no photo; another's refused row stays."""
    rows = ["image,who,age", "a/bad.png,n1,", ",n1,old", "b/bad.png,n2,", "c/1.png,n3,old", ""]
    root = source(tmp_path, t_dot_csv="\n".join(rows), a__bad_dot_png="1", b__bad_dot_png="2", c__1_dot_png="3")
    problems = [
        BadRow("t.csv line 2, column age", Reason.UNKNOWN_LABEL, "a/bad.png", "n1"),
        BadRow("t.csv line 3", Reason.MALFORMED_ROW, "", "n1"),
        BadRow("t.csv line 4, column age", Reason.UNKNOWN_LABEL, "b/bad.png", "n2"),
    ]
    read = Source([record("c/1.png", "n3", "t.csv line 5")], {}, "t.csv", problems, [Path("t.csv")])
    named = rows_naming(read, KEY, {KEY.subject_key("n1")})
    assert [photo.path for photo in find_photos(root, KEY, sample_ids=(), named=named)] == ["a/bad.png"]
    changed = tables_without(root, {"a/bad.png"}, read, {"b/bad.png", "c/1.png"}, named)
    assert changed == {"t.csv": "\n".join([rows[0], *rows[3:]])}


def test_a_row_that_fits_two_photos_is_refused(tmp_path: Path) -> None:
    """Taking out the row of somebody who stays would be as wrong as leaving one."""
    root = source(tmp_path, list_dot_txt="1.jpg 5\n")
    with pytest.raises(BadInput, match="which photo it is about"):
        tables_without(root, {"a/1.jpg"}, NO_ROWS, {"b/1.jpg"})


def test_a_photo_is_found_by_another_spelling_of_its_path(tmp_path: Path) -> None:
    """A table that was written on one system names photos that were unpacked from an archive of another."""
    composed, apart = (unicodedata.normalize(form, "José/1.png") for form in ("NFC", "NFD"))
    rows = [f"{composed},José ,old", "b/1.png,n2,old", ""]
    root = source(tmp_path, **{"t_dot_csv": "\n".join(rows), apart: "1", "b__1_dot_png": "2"})
    read = Source(
        [record("b/1.png", "n2", "t.csv line 2")],
        {},
        "t.csv",
        [BadRow("t.csv line 1", Reason.MISSING, composed, "José ")],
        [Path("t.csv")],
    )
    named = rows_naming(read, KEY, {KEY.subject_key(unicodedata.normalize("NFD", "José"))})
    assert [photo.path for photo in find_photos(root, KEY, sample_ids=(), named=named)] == [apart]
    for told in (named, ()):
        assert tables_without(root, {apart}, read, {"b/1.png"}, told) == {"t.csv": "\n".join(rows[1:])}


def test_of_two_spellings_that_are_two_files_each_row_means_its_own(tmp_path: Path) -> None:
    """Where a file is called exactly as the row says, no other is meant."""
    composed, apart = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
    rows = f"{composed},n1\n{apart},n2\n"
    root = source(tmp_path, **{"t_dot_csv": rows, composed: "1", apart: "2"})
    read = Source([record(composed, "n1"), record(apart, "n2")], {}, "t.csv")
    named = rows_naming(read, KEY, {KEY.subject_key("n1")})
    assert [photo.path for photo in find_photos(root, KEY, sample_ids=(), named=named)] == [composed]
    assert tables_without(root, {composed}, read, {apart}) == {"t.csv": f"{apart},n2\n"}


def test_removal_leaves_no_empty_folder_and_can_be_repeated(tmp_path: Path) -> None:
    """A folder may bear a person's name."""
    root = source(tmp_path, Jane__1_dot_png="x", John__1_dot_png="y", t_dot_csv="Jane/1.png\nJohn/1.png\n")
    for _ in range(2):
        tables = tables_without(root, {"Jane/1.png"}, NO_ROWS, {"John/1.png"})
        remove_photos(root, ["Jane/1.png"], tables)
    assert sorted(path.name for path in root.iterdir()) == ["John", "t.csv"]
    assert (root / "t.csv").read_text() == "John/1.png\n"
