"""Telling the model that is packaged here from another one, without loading what lies in the store."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.models import Model

from dlfd_ops.tracking.likeness import differing_files
from dlfd_ops.tracking.packaging import package

PACKAGE = """
import sys
from pathlib import Path
from mlflow.models import Model
from dlfd_ops.tracking.packaging import package
package(Path(sys.argv[1]), Path(sys.argv[2]), Model(run_id="another"))
"""
PROGRAM = "data/model.pt2"


@pytest.fixture(scope="module")
def packaged(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, packaged."""
    folder = tmp_path_factory.mktemp("packaged") / "model"
    package(checkpoint, folder, Model())
    return folder


@pytest.fixture
def held(packaged: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(packaged, tmp_path / "held"))


def rewrite(archive: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Change the records of an archive."""
    with zipfile.ZipFile(archive) as read:
        records = [(record.filename, read.read(record)) for record in read.infolist()]
    with zipfile.ZipFile(archive, "w", compression) as written:
        for name, content in records:
            written.writestr(name, change(name, content))


def test_packaging_again_gives_the_same_files(packaged: Path, checkpoint: Path, tmp_path: Path) -> None:
    """By another process, for another run."""
    subprocess.run([sys.executable, "-c", PACKAGE, str(checkpoint), str(tmp_path / "again")], check=True)
    assert differing_files(tmp_path / "again", packaged) == []
    assert (tmp_path / "again/MLmodel").read_bytes() != (packaged / "MLmodel").read_bytes()


def test_the_id_of_a_serialisation_does_not_count(packaged: Path, held: Path) -> None:
    """Torch draws one whenever it writes an archive."""
    another = b"1" * 40
    with zipfile.ZipFile(held / PROGRAM) as archive:
        (record,) = (one for one in archive.infolist() if one.filename.endswith("serialization_id"))
        drawn = archive.read(record)
    content = (held / PROGRAM).read_bytes().replace(drawn, another)
    old, new = (struct.pack("<I", zlib.crc32(one)) for one in (drawn, another))
    (held / PROGRAM).write_bytes(content.replace(old, new))
    assert zipfile.ZipFile(held / PROGRAM).testzip() is None
    assert differing_files(held, packaged) == []


def _other_program(name: str, content: bytes) -> bytes:
    return content.replace(b"aten.softmax", b"aten.sigmoid") if name.endswith("models/model.json") else content


def _other_weight(name: str, content: bytes) -> bytes:
    return content[::-1] if name.endswith("weight_3") else content


def _another_pickle(name: str, content: bytes) -> bytes:
    return b"cos\nsystem\n(S'true'\ntR." if name.endswith("sample_inputs/model.pt") else content


@pytest.mark.parametrize("change", [_other_program, _other_weight, _another_pickle])
def test_another_program_is_found(packaged: Path, held: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Its operations, its weights, and what loading it would unpickle."""
    rewrite(held / PROGRAM, change)
    assert differing_files(held, packaged) == [PROGRAM]


def test_an_archive_before_another_is_found(packaged: Path, held: Path) -> None:
    """Of such a file torch reads one, and Python's zipfile the other."""
    good = (packaged / PROGRAM).read_bytes()
    (held / PROGRAM).write_bytes(good[:100_000] + good)
    with zipfile.ZipFile(held / PROGRAM) as archive:
        assert archive.testzip() is None
    assert differing_files(held, packaged) == [PROGRAM]


def test_a_record_that_hides_behind_another_is_found(packaged: Path, held: Path) -> None:
    """Of two records of one name readers may take either."""
    with zipfile.ZipFile(held / PROGRAM, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("model/models/model.json", archive.read("model/models/model.json"))
    assert differing_files(held, packaged) == [PROGRAM]


def test_a_packed_record_is_not_unpacked(packaged: Path, held: Path) -> None:
    """It could be endless."""
    rewrite(held / PROGRAM, lambda _, content: content, zipfile.ZIP_DEFLATED)
    assert differing_files(held, packaged) == [PROGRAM]


@pytest.mark.parametrize("name", ["data/model.pth", "data/pickle_module_info.txt", "code/evil.py"])
def test_a_further_file_is_found(packaged: Path, held: Path, name: str) -> None:
    """MLflow loads a model.pth where one is there."""
    (held / name).parent.mkdir(exist_ok=True)
    (held / name).touch()
    assert differing_files(held, packaged) == [name]


@pytest.mark.parametrize("line", ["loader_module: mlflow.pytorch", "weights_digest: "])
def test_another_description_is_found(packaged: Path, held: Path, line: str) -> None:
    """What says how the model is loaded, and which it is."""
    text = (held / "MLmodel").read_text()
    assert line in text
    (held / "MLmodel").write_text(text.replace(line, f"{line}x"))
    assert differing_files(held, packaged) == ["MLmodel"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[1]", b"PK\x05\x06" + bytes(18)])
@pytest.mark.parametrize("name", ["MLmodel", PROGRAM, "checkpoint/weights.safetensors", "requirements.txt"])
def test_a_damaged_file_is_found(packaged: Path, held: Path, name: str, content: bytes) -> None:
    """Whatever is left of it."""
    (held / name).write_bytes(content)
    assert differing_files(held, packaged) == [name]
    (held / name).unlink()
    assert differing_files(held, packaged) == [name]
