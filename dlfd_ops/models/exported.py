"""The weights inside a ``torch.export`` archive (``.pt2``), read as plain bytes.

``torch.export.load`` unpickles parts of the archive. The weights need none of that: they lie in the zip as raw bytes
beside a JSON list of their names, types and shapes.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlfd_ops.errors import BadInput

LIST = "data/weights/model_weights_config.json"
MAX_LIST_BYTES = 16 << 20
# Numbers of the archive's schema (torch._export.serde.schema.ScalarType).
_TYPES = {
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}


def read_exported_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict of an exported program, under the names of the module that was exported.

    Raises:
        BadInput: it is no such archive, or a weight is stored in another way than as plain bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (listed,) = [name for name in archive.namelist() if name.endswith(f"/{LIST}")]
            if archive.getinfo(listed).file_size > MAX_LIST_BYTES:
                raise ValueError("too long a list of weights")
            entries = json.loads(archive.read(listed))["config"]
            folder = listed.rpartition("/")[0]
            return {name: _tensor(archive, folder, entry) for name, entry in entries.items()}
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise BadInput(
            "the registered model must be an archive of torch.export with plain weights",
            received=f"{type(error).__name__}: {error}"[:120],
            remedy="save its state_dict as safetensors, and give that file as --weights",
        ) from error


def _tensor(archive: zipfile.ZipFile, folder: str, entry: dict[str, Any]) -> Tensor:
    meta = entry["tensor_meta"]
    if entry["use_pickle"] or meta["dtype"] not in _TYPES:
        raise ValueError("a weight that is pickled or of an unknown type")
    sizes, strides = ([int(number["as_int"]) for number in meta[key]] for key in ("sizes", "strides"))
    content = bytearray(archive.read(f"{folder}/{entry['path_name']}"))
    kind = _TYPES[meta["dtype"]]
    flat = torch.frombuffer(content, dtype=kind) if content else torch.empty(0, dtype=kind)
    return torch.as_strided(flat, sizes, strides, int(meta["storage_offset"]["as_int"])).clone()
