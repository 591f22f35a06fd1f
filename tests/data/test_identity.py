"""The secret key: created once, private, never shown, and the hashes made with it."""

from __future__ import annotations

import hashlib
import hmac
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.data.identity import (
    SecretKey,
    check_key_id,
    load_key,
    load_or_create_key,
    project_key,
    publish_key_id,
    read_key_id,
)
from dlfd_ops.errors import BadInput

KEY = SecretKey(bytes(range(32)))


def test_hashes_are_domain_separated_hmacs() -> None:
    """A photo and a name with the same bytes have different hashes, both HMAC-SHA256 under the key."""
    assert KEY.sample_id(b"x") == hmac.new(bytes(range(32)), b"sample:x", hashlib.sha256).hexdigest()
    assert KEY.subject_key("x") == hmac.new(bytes(range(32)), b"subject:x", hashlib.sha256).hexdigest()
    assert KEY.sample_id(b"x") != KEY.subject_key("x")


def test_another_key_makes_other_hashes_and_another_id() -> None:
    """Without the key, neither hash nor id can be made."""
    other = SecretKey(bytes(32))
    assert other.sample_id(b"x") != KEY.sample_id(b"x")
    assert other.subject_key("x") != KEY.subject_key("x")
    assert other.key_id != KEY.key_id
    assert len(KEY.key_id) == 16


def test_the_key_is_not_shown() -> None:
    """Neither repr nor str of a key holds its bytes, raw or in hex."""
    shown = repr(KEY) + str(KEY)
    assert "\\x01" not in shown
    assert KEY.content.hex() not in shown


def test_a_name_that_is_no_unicode_has_a_hash() -> None:
    """A folder name of undecodable bytes reaches Python with surrogates and must not raise."""
    assert len(KEY.subject_key("Jos\udce9")) == 64


@given(st.data(), st.text())
def test_a_name_has_one_hash_however_it_is_spelled(data: st.DataObject, name: str) -> None:
    """Each character composed or taken apart, and white space around it: Unicode calls that the same text."""
    apart = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    forms = zip(apart, name, strict=True)
    spelled = "".join(unicodedata.normalize("NFD" if taken else "NFC", letter) for taken, letter in forms)
    before, after = (data.draw(st.text(" \t\n\r\u00a0\u2003", max_size=3)) for _ in range(2))
    assert KEY.subject_key(f"{before}{spelled}{after}") == KEY.subject_key(name)


def test_names_that_only_look_alike_stay_apart() -> None:
    """Case, an accent less, and what Unicode calls compatible only, such as full-width letters, make another name."""
    assert len({KEY.subject_key(name) for name in ("Zoë", "zoë", "Zoe", "\uff3aoë")}) == 4


def test_first_use_creates_a_private_key_file(tmp_path: Path) -> None:
    """The file, mode 0600, holds 32 bytes in hex and is hidden from git; the second use returns the same key."""
    path = tmp_path / "private" / "key"
    first = load_or_create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(path.read_text().strip())) == 32
    assert load_or_create_key(path) == first == load_key(path)
    assert sorted(child.name for child in path.parent.iterdir()) == [".gitignore", "key"]
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    """Many first uses at once end with one key, whole, that all of them hold."""
    program = (
        "import sys; from pathlib import Path; from dlfd_ops.data.identity import load_or_create_key; "
        "sys.stdin.readline(); print(load_or_create_key(Path(sys.argv[1])).key_id)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "key")]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = {process.communicate()[0].strip() for process in running}
    assert ids == {load_key(tmp_path / "key").key_id}


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment is used as it is and no file is made."""
    monkeypatch.setenv("DLFD_SECRET_KEY", KEY.content.hex())
    assert load_or_create_key(tmp_path / "key") == KEY
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("value", ["", "zz", "00" * 31, "ключ"])
def test_a_bad_key_in_the_environment_is_refused_and_not_shown(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too short or no hex: one line that does not repeat the value."""
    monkeypatch.setenv("DLFD_SECRET_KEY", value)
    with pytest.raises(BadInput) as error:
        load_key(tmp_path / "key")
    assert not value or value not in str(error.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_read_is_refused(mode: int, tmp_path: Path) -> None:
    """The remedy is named."""
    path = tmp_path / "key"
    load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(BadInput, match="chmod 600"):
        load_or_create_key(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"abc", b"00" * 3000])
def test_a_damaged_key_file_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    """A damaged key is never replaced by a new one, which would rename everybody."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadInput):
        load_or_create_key(path)
    assert path.read_bytes() == content


def test_a_missing_key_is_an_error_where_none_may_be_made(tmp_path: Path) -> None:
    """``load_key`` makes nothing."""
    with pytest.raises(BadInput, match="backup"):
        load_key(tmp_path / "key")
    assert not (tmp_path / "key").exists()


def test_a_folder_that_cannot_be_made_is_a_plain_error(tmp_path: Path) -> None:
    """A file where the folder should be ends in one line, not in a traceback."""
    (tmp_path / "private").write_text("")
    with pytest.raises(BadInput, match="creatable"):
        load_or_create_key(tmp_path / "private" / "key")


def test_key_id_is_published_once(tmp_path: Path) -> None:
    """The published id stays, whatever key comes later."""
    path = tmp_path / "deletion" / "key_id.txt"
    publish_key_id(KEY, path)
    publish_key_id(SecretKey(bytes(32)), path)
    assert read_key_id(path) == KEY.key_id


def test_a_mismatch_names_both_ids() -> None:
    """The user sees which key is expected and which is in use."""
    check_key_id(KEY, KEY.key_id, "the manifest")
    with pytest.raises(BadInput) as error:
        check_key_id(KEY, "0" * 16, "the manifest")
    assert KEY.key_id in str(error.value)
    assert "0" * 16 in str(error.value)


@pytest.mark.parametrize("content", ["", "nonsense", "g" * 16, "ab" * 9])
def test_a_damaged_key_id_is_refused(content: str, tmp_path: Path) -> None:
    """Only 16 hex digits are a key id."""
    path = tmp_path / "key_id.txt"
    path.write_text(content)
    with pytest.raises(BadInput):
        read_key_id(path)


def test_a_lost_key_is_not_replaced(tmp_path: Path) -> None:
    """Where an id is published and its key is gone, no new key is made."""
    key_file, id_file = tmp_path / "key", tmp_path / "key_id.txt"
    key = project_key(key_file, id_file)
    assert read_key_id(id_file) == key.key_id
    key_file.unlink()
    with pytest.raises(BadInput):
        project_key(key_file, id_file)
    assert not key_file.exists()


def test_another_key_than_the_published_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of another repository does not silently rename everybody."""
    project_key(tmp_path / "key", tmp_path / "key_id.txt")
    monkeypatch.setenv("DLFD_SECRET_KEY", KEY.content.hex())
    with pytest.raises(BadInput, match=KEY.key_id):
        project_key(tmp_path / "key", tmp_path / "key_id.txt")
