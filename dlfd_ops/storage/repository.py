"""One DVC repository under its lock: what it tracks, where that is stored, and recording that data were taken out."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlfd_ops.errors import BadInput
from dlfd_ops.storage.dvc_files import quiet, require_repository, write_pointer
from dlfd_ops.storage.objects import ObjectStore
from dlfd_ops.storage.refusals import forget_killed_stages, refusals, unreadable_files

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

_PART = "do its part of an erasure"


@dataclass(frozen=True)
class Remotes:
    """The remotes of DVC's configuration.

    Attributes:
        stores: those whose objects can be told apart.
        versioned: names of those that keep the versions of files instead, where nothing can be erased from here.
    """

    stores: tuple[ObjectStore, ...]
    versioned: tuple[str, ...]


class DvcRepository:
    """A DVC repository, to be used inside of :func:`locked_repository`.

    Paths are absolute here: the pipeline may lie in a folder below the top of the repository.
    """

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self.root = Path(repo.root_dir)

    def cache(self) -> ObjectStore:
        """Return the cache."""
        database = self._repo.cache.legacy
        own = Path(database.path).resolve().is_relative_to(self.root.resolve())
        return ObjectStore("DVC cache", None, own, database.fs, database.path)

    def remotes(self) -> Remotes:
        """Return every configured remote.

        Raises:
            BadInput: one can't be opened: its settings are wrong, or the library for its kind is not installed.
        """
        from dvc.exceptions import DvcException

        stores, versioned = [], []
        for name in sorted(self._repo.config["remote"]):
            try:
                remote = self._repo.cloud.get_remote(name)
                keeps_versions = remote.worktree or remote.fs.version_aware
            except (DvcException, ImportError, OSError, ValueError) as error:
                raise BadInput(
                    f"the DVC remote {name} must be readable, so that nothing in it is overlooked",
                    received=type(error).__name__,
                    remedy="correct it in .dvc/config, install what its kind needs (such as dvc[s3]), or remove it",
                ) from error
            if keeps_versions:
                versioned.append(name)
            else:
                stores.append(ObjectStore(f"DVC remote {name}", name, False, remote.fs, remote.path))
        return Remotes(tuple(stores), tuple(versioned))

    def outputs(self) -> dict[Path, str]:
        """Return what the workspace's pointers record: path -> object id."""
        return {
            Path(out.fs_path): str(out.hash_info.value)
            for out in self._repo.index.outs
            if out.is_in_repo and out.use_cache and out.hash_info
        }

    def check_up_to_date(self, path: Path) -> None:
        """Check that the stage which writes ``path`` has nothing to do.

        Raises:
            BadInput: no stage writes it, or its inputs or outputs changed since it ran.
        """
        with quiet():
            changed = self._writer(path).status()
        if changed:
            raise BadInput(
                f"{path} must be up to date before anything is erased",
                received="changes that the stage which writes it has not seen",
                remedy="run dvc repro, then this command again",
            )

    def record(self, paths: Iterable[Path]) -> None:
        """Record what stands at ``paths`` now, and store it in the cache; nothing in the workspace is touched.

        A frozen stage keeps what it recorded of its inputs: it would run again if it were thawed.

        Args:
            paths: of files or folders; what DVC does not track is passed over.

        Raises:
            BadInput: DVC refuses.
        """
        with refusals(_PART), quiet():
            for stage in self._stages_of(paths):
                if stage.frozen:
                    for out in stage.outs:
                        out.save()
                else:
                    stage.save(run_cache=False)
                stage.commit(relink=False)
                write_pointer(stage, self._repo)

    def accept(self, before: Mapping[str, str], pipeline: Path) -> None:
        """Let the stages that read what was taken out stand as they are: DVC then has nothing to run again.

        A dependency is recorded anew only where it was recorded as it stood before; one that was stale stays so.
        A frozen stage stands anyway, and keeps what it recorded.

        Args:
            before: path -> object id that was recorded before.
            pipeline: folder of the pipeline; what stages outside of it made of the data is not ours to vouch for.
        """
        with refusals(_PART), quiet():
            for stage in self._repo.index.stages:
                if not Path(stage.path).is_relative_to(pipeline):
                    continue
                unfrozen = [] if stage.frozen else stage.deps
                read = [dep for dep in unfrozen if dep.hash_info and self._before(dep, before)]
                for dep in read:
                    dep.save()
                if read:
                    write_pointer(stage, self._repo)

    def recorded_dependencies(self, paths: Collection[Path]) -> dict[str, str]:
        """Return what stages record of the files and folders at ``paths`` or below them, to be given to `accept`."""
        wanted = [path.resolve() for path in paths]
        return {
            str(Path(dep.fs_path)): str(dep.hash_info.value)
            for stage in self._repo.index.stages
            for dep in stage.deps
            if dep.hash_info
            and dep.protocol == "local"
            and any(Path(dep.fs_path).resolve().is_relative_to(folder) for folder in wanted)
        }

    def push(self, paths: Iterable[Path], remote: str) -> None:
        """Send what is recorded for ``paths`` to a remote.

        Raises:
            BadInput: DVC refuses, or the remote does not answer.
        """
        with refusals(_PART), quiet():
            targets = sorted({out.fs_path for stage in self._stages_of(paths) for out in stage.outs if out.use_cache})
            if targets:
                self._repo.push(targets, remote=remote)

    def in_use(self) -> set[str]:
        """Return every object that the workspace records, those in listings included."""
        outputs = set(self.outputs().values())
        cache = self.cache()
        found = cache.look().objects
        listings = [cache.read_listing(found[oid][0]) for oid in outputs if oid.endswith(".dir") and oid in found]
        return outputs.union(*(listing.values() for listing in listings))

    def refresh(self) -> None:
        """Read anew what the workspace's pointers record; DVC itself does so only when it takes its lock."""
        self._repo._reset()

    def state(self) -> Path:
        """Return the folder of the repository's databases in the site cache."""
        return Path(self._repo.site_cache_dir)

    def clear_state(self) -> None:
        """Remove the databases of the site cache; DVC makes them anew. The lock stays held."""
        from dvc.repo import Repo

        folder = self.state()
        self._repo.close()
        shutil.rmtree(folder, ignore_errors=True)
        self._repo = Repo(str(self.root))

    def close(self) -> None:
        """Let go of the databases; without a lock of one's own, a second time does no harm."""
        self._repo.close()

    def _writer(self, path: Path) -> Stage:
        from dvc.exceptions import OutputNotFoundError

        try:
            return self._repo.find_outs_by_path(str(path))[0].stage
        except OutputNotFoundError as error:
            raise BadInput(
                f"{path} must be written by a stage of dvc.yaml", received="none that does", remedy="see dvc.yaml"
            ) from error

    def _stages_of(self, paths: Iterable[Path]) -> list[Stage]:
        """Return the stages with an output at, below or above one of the paths."""
        wanted = [path.resolve() for path in paths]
        found = {}
        for out in self._repo.index.outs:
            place = Path(out.fs_path).resolve()
            if any(place.is_relative_to(path) or path.is_relative_to(place) for path in wanted):
                found[out.stage.addressing] = out.stage
        return [found[name] for name in sorted(found)]

    @staticmethod
    def _before(dep: Any, before: Mapping[str, str]) -> bool:
        return bool(before.get(str(Path(dep.fs_path))) == dep.hash_info.value)


@contextmanager
def locked_repository(root: Path) -> Iterator[DvcRepository]:
    """Open the DVC repository at ``root`` and hold DVC's own lock on it.

    Raises:
        BadInput: it is no DVC repository, DVC is at work in it, or it cannot read one of its files.
    """
    require_repository(root)
    from dvc.repo import Repo, lock_repo

    with refusals(_PART), quiet(), Repo(str(root)) as repo, lock_repo(repo):
        if forget_killed_stages(Path(repo.tmp_dir)):
            raise BadInput(
                "no stage may run while data are erased",
                received="a running dvc command",
                remedy="let it end, then run this command again",
            )
        repository = DvcRepository(repo)
        with unreadable_files():
            repository.outputs()  # reads every pointer, which DVC does once
        try:
            yield repository
        finally:
            repository.close()
