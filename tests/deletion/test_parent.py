"""The pinned parent."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlfd_ops.deletion.parent import Parent, read_parent, write_parent
from dlfd_ops.errors import BadInput

IDS = [f"req-{number:012x}" for number in range(4)]


def test_what_is_pinned_is_read_back(tmp_path: Path) -> None:
    """Writing and reading gives the same parent."""
    version = Parent(kind="version", version=2, weights_digest="a" * 64, unlearnings=1, covers=(IDS[0],))
    for parent in (Parent(), version.excluding([IDS[3], IDS[2]])):
        write_parent(tmp_path / "parent.json", parent)
        assert read_parent(tmp_path / "parent.json") == parent


def test_exclusion_only_grows() -> None:
    """An excluded request is never let back in, and the ids stay sorted, each once."""
    parent = Parent().excluding([IDS[2]]).excluding([IDS[1], IDS[2]]).excluding([])
    assert parent.excluded == (IDS[1], IDS[2])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"kind": "unlearned"}',
        b'{"kind": "version"}',
        b'{"kind": "version", "version": 2, "weights_digest": "%s", "unlearnings": 1}' % (b"a" * 64),
        b'{"kind": "original", "version": 2}',
        b'{"excluded": ["Jane Doe"]}',
        b'{"covers": ["req-000000000001", "req-000000000000"]}',
        b'{"version": 0}',
        b'{"alias": "champion"}',
        b"\xff",
    ],
)
def test_a_damaged_parent_is_bad_input(tmp_path: Path, content: bytes) -> None:
    """No JSON, another kind, a raw name, unsorted ids, an impossible version, a further field."""
    path = tmp_path / "parent.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="restore it with dvc checkout"):
        read_parent(path)


def test_a_missing_parent_is_bad_input(tmp_path: Path) -> None:
    """The message says that the file is missing."""
    with pytest.raises(BadInput, match="no such file"):
        read_parent(tmp_path / "parent.json")
