"""Whether what the store holds is the model that packaging makes here, told without loading it.

Anybody who may write to the store can put a logged model or a version there under a registration key, and loading an
archive of ``torch.export`` unpickles parts of it. So the model is packaged anew, and the files are compared: packaging
the same checkpoint with the same Python, torch and MLflow gives the same ones. Every file must be there and no other:
beside ``model.pt2``, a file ``model.pth`` would be what MLflow loads.
"""

from __future__ import annotations

import filecmp
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME

from dlfd_ops.errors import BadInput
from dlfd_ops.files import parse_yaml, read_bounded
from dlfd_ops.tracking.store import artifact_is_missing

MAX_DESCRIPTION_BYTES = 1 << 20
_OF_ONE_PACKAGING = frozenset(
    {"artifact_path", "model_id", "model_size_bytes", "model_uuid", "run_id", "utc_time_created"}
)
"""What ``MLmodel`` says about when and where it was packaged; nothing of it steers how the model is loaded."""
_SERIALIZATION_ID = "/.data/serialization_id"


def differing_from_store(artifact_uri: str, packaged: Path) -> list[str]:
    """Download what MLflow's default store holds at an address, and compare it with a packaged model.

    Args:
        artifact_uri: the source of a version, or ``models:/<id of a logged model>``.
        packaged: folder that :func:`dlfd_ops.tracking.packaging.package` wrote.

    Returns:
        The files that differ, see :func:`differing_files`.
    """
    with TemporaryDirectory() as folder:
        held = Path(folder)
        try:
            held = Path(download_artifacts(artifact_uri=artifact_uri, dst_path=folder))
        except OSError as error:
            if not artifact_is_missing(error):
                raise
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
        (held / REGISTERED_MODEL_META_FILE_NAME).unlink(missing_ok=True)  # written by the download
        return differing_files(held, packaged)


def differing_files(held: Path, packaged: Path) -> list[str]:
    """Return the files of which only one of two model folders has any, or which say something else; sorted."""
    names, expected = _names(held), _names(packaged)
    changed = {name for name in names & expected if not _alike(held / name, packaged / name)}
    return sorted(changed | (names ^ expected))


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def _alike(held: Path, packaged: Path) -> bool:
    """Compare bytes, and where they differ what the two kinds of files say that note where they were made."""
    if filecmp.cmp(held, packaged, shallow=False):
        return True
    if packaged.name == "model.pt2":
        return _same_archive(held, packaged)
    try:
        return packaged.name == MLMODEL_FILE_NAME and _description(held) == _description(packaged)
    except (BadInput, ValueError, AttributeError):
        return False


def _description(path: Path) -> dict[str, Any]:
    content = parse_yaml(read_bounded(path, max_bytes=MAX_DESCRIPTION_BYTES, what=path.name))
    return {name: value for name, value in content.items() if name not in _OF_ONE_PACKAGING}


def _same_archive(held: Path, packaged: Path) -> bool:
    """Compare two archives byte by byte, but for the id that torch draws for each and its checksum.

    Only the packaged one is read as an archive: of bytes that two readers take for two archives, one alone is ours.
    """
    ours, theirs = packaged.read_bytes(), bytearray(held.read_bytes())
    if len(ours) != len(theirs):
        return False
    for start, length in _drawn(packaged, ours):
        theirs[start : start + length] = ours[start : start + length]
    return bytes(theirs) == ours


def _drawn(packaged: Path, content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the id of an archive stands, and its checksum: start and length."""
    with zipfile.ZipFile(packaged) as archive:
        (record,) = (record for record in archive.infolist() if record.filename.endswith(_SERIALIZATION_ID))
        drawn, directory = archive.read(record), archive.start_dir
    for what, start in (
        (drawn, record.header_offset),
        (struct.pack("<I", record.CRC), record.header_offset),
        (struct.pack("<I", record.CRC), directory),
    ):
        yield content.index(what, start), len(what)
