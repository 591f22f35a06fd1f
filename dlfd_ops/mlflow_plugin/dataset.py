"""Data under DVC as a source of MLflow datasets."""

# No `from __future__ import annotations` here: MLflow checks the return annotation of a constructor as a class.

from typing import TYPE_CHECKING, Any

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset

from dlfd_ops.mlflow_plugin.errors import as_mlflow_errors

if TYPE_CHECKING:
    from dlfd_ops.storage.dvc_data import DvcData

SCHEME = "dvc://"


class DvcDatasetSource(DatasetSource):
    """A file or folder under DVC at one commit: ``dvc://<path>?repo=<url>&rev=<revision>``.

    ``path`` is relative to the top of the repository. Without ``repo`` it is the repository around the working
    directory, without ``rev`` what is committed there. Whatever the revision was, the commit and DVC's digest are
    recorded, so that the same data come back later, or an error.
    """

    def __init__(self, data: "DvcData") -> None:
        self.data = data

    @property
    def uri(self) -> str:
        """The source as one string, which MLflow resolves to the same data again."""
        return SCHEME + self.data.to_location()

    def load(self, dst_path: str | None = None) -> str:
        """Fetch the data from the repository's DVC cache or remote.

        Args:
            dst_path: folder to put them into; it is created when missing. By default a new temporary folder.

        Returns:
            The path of the file or folder, named as in the repository.

        Raises:
            MlflowException: the data cannot be reached, are not those recorded, or stand there already.
        """
        from pathlib import Path
        from tempfile import mkdtemp

        from dlfd_ops.storage.dvc_data import fetch

        with as_mlflow_errors():
            return str(fetch(self.data, Path(dst_path or mkdtemp(prefix="dvc-"))))

    def to_dict(self) -> dict[str, Any]:
        """Return path, repository, commit and digest."""
        return self.data.model_dump()

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DvcDatasetSource":
        """Read what :meth:`to_dict` returned.

        Raises:
            MlflowException: a field is missing, unknown, or not of its form.
        """
        from dlfd_ops.storage.dvc_data import DvcData

        with as_mlflow_errors():
            return cls(DvcData.from_fields(source_dict))

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, str) and raw_source.startswith(SCHEME)

    @classmethod
    def _resolve(cls, raw_source: str) -> "DvcDatasetSource":
        from dlfd_ops.storage.dvc_data import parse_location, pin

        with as_mlflow_errors():
            return cls(pin(*parse_location(raw_source.removeprefix(SCHEME))))


class DvcDataset(MetaDataset):
    """Data under DVC as an input of a run: where they are and their digest, no sample of them."""

    def __init__(self, data: "DvcData", name: str | None = None, digest: str | None = None) -> None:
        self._dvc_source = DvcDatasetSource(data)
        super().__init__(self._dvc_source, name=name or data.path, digest=digest or data.digest)

    @property
    def source(self) -> DvcDatasetSource:
        """Where the data are."""
        return self._dvc_source

    @property
    def profile(self) -> None:
        """Nothing: the data are not looked into."""


def from_dvc(
    path: str,
    repo: str | None = None,
    rev: str | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> DvcDataset:
    """Describe data under DVC for ``mlflow.log_input``; nothing is downloaded, and no sample is logged.

    Args:
        path: a file or folder that DVC tracks, relative to the top of its repository.
        repo: URL or folder of the repository; by default the one around the working directory.
        rev: a Git revision; by default what is committed.
        name: of the dataset; by default ``path``.
        digest: of the dataset; by default DVC's (``<md5>``, ``<md5>.dir`` for a folder).

    Raises:
        MlflowException: DVC does not know the path there, or the working directory differs from what is committed.
    """
    from dlfd_ops.storage.dvc_data import pin

    with as_mlflow_errors():
        return DvcDataset(pin(path, repo, rev), name, digest)
