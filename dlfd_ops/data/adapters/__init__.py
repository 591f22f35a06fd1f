"""One source a file: an adapter turns a published layout into records, nothing more."""

from dlfd_ops.data.adapters.adapter import Adapter, Source, SourceRecord
from dlfd_ops.data.adapters.celeba import read_celeba
from dlfd_ops.data.adapters.image_folder import read_image_folder
from dlfd_ops.data.adapters.lfw import read_lfw
from dlfd_ops.data.adapters.manifest_csv import read_manifest_csv
from dlfd_ops.data.adapters.mufac import read_mufac
from dlfd_ops.data.adapters.raf_db import read_raf_db
from dlfd_ops.data.adapters.synthetic import read_synthetic
from dlfd_ops.data.adapters.utkface import read_utkface

ADAPTERS: dict[str, Adapter] = {
    "celeba": read_celeba,
    "image_folder": read_image_folder,
    "lfw": read_lfw,
    "manifest_csv": read_manifest_csv,
    "mufac": read_mufac,
    "raf_db": read_raf_db,
    "synthetic": read_synthetic,
    "utkface": read_utkface,
}
"""The adapters by their name in ``prepare.source``."""

__all__ = ["ADAPTERS", "Adapter", "Source", "SourceRecord"]
