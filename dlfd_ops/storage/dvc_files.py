"""Putting files under DVC's care, and freezing stages."""

from __future__ import annotations

import logging
import re
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, find_repository, leftovers, parse_yaml, read_bounded, repository_top, write_text
from dlfd_ops.storage.refusals import forget_killed_stages, refusals, unreadable_files

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

PIPELINE_FILE = "dvc.yaml"
MAX_PIPELINE_BYTES = 16 << 20


def require_repository(root: Path) -> None:
    """Check that ``root`` is the folder of the pipeline in a DVC repository, without loading DVC.

    That is the top folder, or the folder below it that ``dlfd-ops init`` made.

    Raises:
        BadInput: it is not.
    """
    below = find_repository(root) is not None and all(
        (root / name).is_file() for name in (PIPELINE_FILE, "params.yaml")
    )
    elsewhere = [] if _forgets(root) else sorted(filter(_forgets, (*root.glob("*/"), *root.glob("*/*/"))))
    if elsewhere:
        raise BadInput(
            "the command must run in the pipeline's folder of a DVC repository",
            received="a folder above it",
            remedy=f"change to {elsewhere[0].relative_to(root)}",
        )
    if not (root / ".dvc").is_dir() and not below:
        raise BadInput(
            "the command must run in the pipeline's folder of a DVC repository",
            received="a folder without .dvc",
            remedy="change to that folder, or run `dvc init` in it",
        )


def _forgets(folder: Path) -> bool:
    """Whether the pipeline in a folder is one of this project: it has the stage that resolves the requests."""
    path = folder / PIPELINE_FILE
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return b"\n  forget_list:" in stream.read(MAX_PIPELINE_BYTES)


def track(paths: Iterable[Path], root: Path) -> None:
    """Add files to DVC, as ``dvc add --no-relink`` does: it writes ``<file>.dvc`` and the folder's ``.gitignore``.

    The files themselves are only read: relinking would take them away for a moment, and a run killed in it would
    lose what they hold.

    Args:
        paths: the files, relative to ``root``; an unchanged one stays as it is.
        root: top folder of the DVC repository.

    Raises:
        BadInput: ``root`` is no DVC repository, or DVC refuses, for example because a stage is using a file.
    """
    require_repository(root)
    from dvc.repo import Repo, lock_repo

    targets = [(root / path).absolute() for path in paths]
    top, part = str(repository_top(root)), "add the files of the intake"
    with unreadable_files(), refusals(part), quiet(), Repo(top) as repo, lock_repo(repo):
        forget_killed_stages(Path(repo.tmp_dir))
        _remove_empty(Path(f"{target}.dvc") for target in targets)
        repo.add([str(target) for target in targets], relink=False)


def write_pointer(stage: Stage, repo: Repo) -> None:
    """Write what ``stage`` records into ``dvc.lock`` or its ``.dvc`` file, in one rename.

    DVC rewrites these in place: killed in it, it leaves one that no command can read.

    Args:
        stage: with what it records already in it.
        repo: the repository of the stage, locked.
    """
    from dvc.dvcfile import Lockfile, SingleStageFile
    from dvc.stage import PipelineStage

    kind, pointer = SingleStageFile, Path(stage.path)
    if isinstance(stage, PipelineStage):
        kind, pointer = Lockfile, pointer.with_suffix(".lock")
    pointer = pointer.resolve()  # a link stays one
    for left in leftovers(pointer):  # by a killed run: the repository is locked
        left.unlink()
    mode = stat.S_IMODE(pointer.stat().st_mode) if pointer.exists() else 0o644
    with atomic_path(pointer, mode=mode) as temporary:
        if pointer.exists():
            shutil.copyfile(pointer, temporary)
        kind(repo, str(temporary), verify=False).dump(stage)


def freeze(stage: str, root: Path) -> bool:
    """Freeze a stage: ``dvc repro`` then keeps its outputs, whatever happens to its dependencies.

    Writes what ``dvc freeze`` would, which itself refuses a stage whose command holds a ``${...}``, even an
    escaped one.

    Args:
        stage: its name in ``dvc.yaml``.
        root: top folder of the DVC repository.

    Returns:
        Whether it was there and not frozen before.

    Raises:
        BadInput: ``dvc.yaml`` is missing, damaged, or laid out in another way than DVC writes it.
    """
    path = root / PIPELINE_FILE
    content = read_bounded(path, max_bytes=MAX_PIPELINE_BYTES, what=PIPELINE_FILE)
    try:
        wanted, text = parse_yaml(content), content.decode()
        entry = wanted["stages"].get(stage)
        if entry is None or entry.get("frozen"):
            return False
        entry["frozen"] = True
        frozen = re.sub(rf"^( +){re.escape(stage)}: *\n( +)", r"\g<0>frozen: true\n\g<2>", text, count=1, flags=re.M)
        if parse_yaml(frozen.encode()) != wanted:
            raise ValueError("another layout")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadInput(
            f"{PIPELINE_FILE} must list the stage {stage} with one field a line",
            received=type(error).__name__,
            remedy=f"write the line `frozen: true` into its stage {stage}",
        ) from error
    write_text(path, frozen)
    return True


def _remove_empty(files: Iterable[Path]) -> None:
    """Remove what a killed run left empty: DVC rewrites these in place, and refuses to work while one is empty."""
    for path in files:
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the command line and the progress bars from DVC.

    DVC writes ``sys.argv`` into ``.dvc/tmp/rwlock``; a killed run would leave the raw subject id there.
    """
    argv, logger = sys.argv, logging.getLogger("dvc")
    level = logger.level
    sys.argv = [argv[0] if argv else "dlfd-ops"]
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        sys.argv = argv
        logger.setLevel(level)
