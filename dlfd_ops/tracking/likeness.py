"""Whether what the store holds is the model that packaging makes here, told without loading it.

Anybody who may write to the store can put a logged model or a version there under a registration key, and loading an
archive of ``torch.export`` unpickles parts of it. So the model is packaged anew, and the files are compared: packaging
the same checkpoint with the same Python, torch and MLflow gives the same ones. Every file must be there and no other:
beside ``model.pt2``, a file ``model.pth`` would be what MLflow loads.
"""

from __future__ import annotations

import filecmp
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME

from dlfd_ops.digest import sha256_bytes
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
    read = {MLMODEL_FILE_NAME: _description, "model.pt2": _archive}.get(packaged.name)
    try:
        return read is not None and bool(read(held) == read(packaged))
    except (BadInput, zipfile.BadZipFile, OSError, ValueError, EOFError, AttributeError, RuntimeError):
        return False


def _description(path: Path) -> dict[str, Any]:
    content = parse_yaml(read_bounded(path, max_bytes=MAX_DESCRIPTION_BYTES, what=path.name))
    return {name: value for name, value in content.items() if name not in _OF_ONE_PACKAGING}


def _archive(path: Path) -> list[tuple[str, str]]:
    """Return every record of an archive with its digest."""
    with zipfile.ZipFile(path) as archive:
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise ValueError("a packed record, which torch does not write")
        names = [record.filename for record in archive.infolist()]
        # The serialization's id is drawn anew each time.
        return [(name, sha256_bytes(archive.read(name))) for name in names if not name.endswith(_SERIALIZATION_ID)]
