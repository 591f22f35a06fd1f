"""The manifest: what is written is read back, and broken ones are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from dlfd_ops.data.images import targets_of
from dlfd_ops.data.manifest import Manifest, ManifestInfo, read_manifest, text_array, validate_manifest, write_manifest
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput


def manifest_of(root: Path, **changes: Sequence[object]) -> Manifest:
    """Return four samples of three people; the labels stand in no alphabetical order."""
    rows = {
        "sample_id": ["a" * 64, "b" * 64, "c" * 64, "d" * 64],
        "path": [f"images/{name}.png" for name in "abcd"],
        "subject_key": ["1" * 64, "1" * 64, "2" * 64, "3" * 64],
        "split": ["train", "train", "anchor", "test"],
        "young": [0, 1, 0, 1],
        "smiling": [1, 1, 0, 0],
        "age_group": [0, 2, 1, 0],
        **changes,
    }
    classes = {"young": ("no", "yes"), "smiling": ("no", "yes"), "age_group": ("0-6", "7-12", "67+")}
    return Manifest(pd.DataFrame(rows), ManifestInfo("tiny", "k" * 16, 32, classes), root)


def test_the_digest_is_that_of_the_canonical_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever way it is computed in: of the version, the info, the columns and the rows, odd characters included."""
    monkeypatch.setattr("dlfd_ops.data.manifest._ROWS_A_PART", 3)
    odd = ['a"b', "c\\d\n", "\u00e9\u20ac", "e\x7f"]
    for manifest in (manifest_of(tmp_path), manifest_of(tmp_path, path=odd), manifest_of(tmp_path).split("nobody")):
        info = manifest.info
        content = {
            "version": 1,
            "info": {"dataset": info.dataset, "key_id": info.key_id, "image_size": 32, "classes": info.classes},
            "columns": list(manifest.rows.columns),
            "rows": manifest.rows.to_numpy().tolist(),
        }
        assert manifest.digest() == sha256_json(content)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Rows, order of the labels, classes and digest survive the file."""
    manifest = manifest_of(tmp_path)
    write_manifest(manifest, tmp_path / "manifest.parquet")
    found = read_manifest(tmp_path / "manifest.parquet")
    pd.testing.assert_frame_equal(found.rows, manifest.rows)
    assert found.info == manifest.info
    assert list(found.info.classes) == ["young", "smiling", "age_group"]
    assert found.digest() == manifest.digest()


def test_parts_are_taken_by_split_and_by_sample(tmp_path: Path) -> None:
    """Retain and forget set are complements within a split."""
    train = manifest_of(tmp_path).split("train")
    assert len(train) == 2
    assert list(train.only(["a" * 64]).rows["sample_id"]) == ["a" * 64]
    assert list(train.without(["a" * 64]).rows["sample_id"]) == ["b" * 64]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    """One label that differs is another digest."""
    assert manifest_of(tmp_path).digest() != manifest_of(tmp_path, smiling=[1, 1, 0, 1]).digest()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"sample_id": ["a" * 64] * 4}, "stand once"),
        ({"split": ["train", "tset", "anchor", "test"]}, "tset"),
        ({"split": ["train", "test", "anchor", "test"]}, "one split"),
        ({"age_group": [0, 3, 1, 0]}, "index below 3"),
        ({"path": ["../a.png", "b", "c", "d"]}, "inside"),
        ({"path": ["/etc/passwd", "b", "c", "d"]}, "inside"),
    ],
)
def test_a_broken_law_is_named(changes: dict[str, list[object]], rule: str, tmp_path: Path) -> None:
    """Each law of the manifest is checked."""
    with pytest.raises(BadInput, match=rule):
        validate_manifest(manifest_of(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_another_file_is_no_manifest(content: bytes, tmp_path: Path) -> None:
    """Empty, torn and foreign files are one line."""
    (tmp_path / "manifest.parquet").write_bytes(content)
    with pytest.raises(BadInput, match="parquet"):
        read_manifest(tmp_path / "manifest.parquet")


def test_foreign_parquet_is_no_manifest(tmp_path: Path) -> None:
    """A parquet file without the manifest's metadata is refused."""
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(BadInput, match="metadata"):
        read_manifest(tmp_path / "manifest.parquet")


def test_several_labels_must_be_binary(tmp_path: Path) -> None:
    """Binary labels together are a multi-label target; a label of three classes is predicted alone."""
    manifest = manifest_of(tmp_path)
    assert targets_of(manifest, ("young", "smiling")).tolist() == [[0, 1], [1, 1], [0, 0], [1, 0]]
    assert targets_of(manifest, ("age_group",)).tolist() == [0, 2, 1, 0]
    with pytest.raises(BadInput, match="age_group with 3 classes"):
        targets_of(manifest, ("young", "age_group"))
    with pytest.raises(BadInput, match="height"):
        targets_of(manifest, ("height",))


def test_a_column_of_texts_is_one_array_however_pandas_holds_it() -> None:
    """Also where it was put together of parts, or lost its type with its last row."""
    column = pa.table({"x": pa.array(["a", "b"])}).to_pandas()
    joined = pd.concat([column["x"], pd.Series(["c"], dtype=column["x"].dtype)])
    assert text_array(joined).to_pylist() == ["a", "b", "c"]
    emptied = text_array(column[:0].assign(x=[])["x"])
    assert (emptied.to_pylist(), emptied.type) == ([], pa.large_string())


def test_a_sample_may_repeat_in_no_order(tmp_path: Path) -> None:
    """Rows that are not sorted are looked at one by one: they stand once, or are refused."""
    mixed = ["b" * 64, "a" * 64, "d" * 64, "c" * 64]
    validate_manifest(manifest_of(tmp_path, sample_id=mixed))
    with pytest.raises(BadInput, match="a sample must stand once"):
        validate_manifest(manifest_of(tmp_path, sample_id=[*mixed[:3], mixed[0]]))
