"""What the pipeline and DVC leave beside the data: resume checkpoints, private lists, temporary files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dlfd_ops.data.removal import find_leftovers
from dlfd_ops.deletion.erasure import Kind
from dlfd_ops.files import leftovers, repository_top
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.refusals import BAD_IMAGES_FILE
from dlfd_ops.workflows.suppressing import NEAR_FILE


def private_files(layout: Layout, source: Path | None) -> Iterator[tuple[Kind, Path]]:
    """Yield the private and temporary files that may tell about people.

    Args:
        layout: of the repository.
        source: folder of the raw data, or None where it is left alone.
    """
    for path in _files(layout.root / ".dlfd" / "checkpoints"):
        yield "checkpoint", path
    for name in (BAD_IMAGES_FILE, NEAR_FILE):
        for path in (layout.root / name, *leftovers(layout.root / name)):
            if path.exists():
                yield "temporary file", path
    for folder in half_replaced(layout):
        for path in _files(folder):
            yield "temporary file", path
    for path in _files(repository_top(layout.root) / ".dvc" / "tmp" / "exps"):
        yield "temporary file", path
    for path in find_leftovers(source) if source else ():
        yield "temporary file", path


def half_replaced(layout: Layout) -> list[Path]:
    """Return what killed runs left that were replacing a folder of data or of a model: its old contents too."""
    models = [layout.model(name) for name in ("original", "parent", "unlearned", "retrained")]
    return sorted(path for folder in (layout.prepared, *models) for path in leftovers(folder))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
