"""What lies in a DVC cache or remote, object by object.

DVC has no command that erases one object, so this reads and writes the layout that its cache and its remotes share:
``files/md5/<2 hex>/<30 hex>`` for contents (``<2 hex>/<30 hex>`` before DVC 3), a ``.dir`` behind a content that lists
a folder, and ``runs/`` for the run cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dlfd_ops.errors import BadInput

_OBJECT = re.compile(r"(?:files/md5/)?([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_RUN = re.compile(r"runs/[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}")
_TEMPORARY = re.compile(r"(?:files/md5/)?[0-9a-f]{2}/(?:\.?[^/]+\.tmp|\.[^/]+)|runs/.*/\.[^/]+|fs/.+")
_BATCH = 500


@dataclass(frozen=True)
class Contents:
    """What one look into a store found.

    Attributes:
        objects: object id (32 hex digits, with ``.dir`` behind a listing) -> its paths.
        runs: paths of the run-cache entries.
        temporary: paths of what an interrupted transfer left.
    """

    objects: dict[str, tuple[str, ...]]
    runs: tuple[str, ...]
    temporary: tuple[str, ...]

    @property
    def listings(self) -> list[str]:
        """Ids of the objects that list a folder, sorted."""
        return sorted(oid for oid in self.objects if oid.endswith(".dir"))


@dataclass(frozen=True)
class ObjectStore:
    """A DVC cache or remote.

    Attributes:
        name: how plans and receipts call it: ``DVC cache`` or ``DVC remote <name>``.
        remote: name of the remote in DVC's configuration; None for the cache.
        own: whether this repository alone uses it: a cache inside of the repository.
    """

    name: str
    remote: str | None
    own: bool
    _fs: Any = field(repr=False, compare=False)
    _path: str = field(repr=False)

    def look(self) -> Contents:
        """Return what lies in the store.

        Raises:
            BadInput: it can't be read.
        """
        objects: dict[str, tuple[str, ...]] = {}
        runs, temporary = [], []
        with self._answering():
            paths = list(self._fs.find(self._path)) if self._is_there() else []
        for path in paths:
            place = self._fs.relpath(path, self._path).replace("\\", "/")
            if found := _OBJECT.fullmatch(place):
                oid = "".join(found.groups())
                objects[oid] = (*objects.get(oid, ()), path)
            elif _RUN.fullmatch(place):
                runs.append(path)
            elif _TEMPORARY.fullmatch(place):
                temporary.append(path)
        return Contents(objects, tuple(sorted(runs)), tuple(sorted(temporary)))

    def read(self, path: str) -> bytes:
        """Return the content of a path that :meth:`look` found.

        Raises:
            BadInput: it can't be read.
        """
        with self._answering():
            content: bytes = self._fs.cat_file(path)
            return content

    def read_listing(self, path: str) -> dict[str, str]:
        """Return the files of a listing: path in its folder -> object id.

        Raises:
            BadInput: it can't be read, or is no listing.
        """
        try:
            return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(self.read(path))}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadInput(
                f"every listing in the {self.name} must be readable: it may name what is to be erased",
                received=f"a damaged {path.rpartition('/')[2][:12]}...",
                remedy="remove that object, or restore it from another copy",
            ) from error

    def remove(self, paths: Iterable[str]) -> None:
        """Remove paths that :meth:`look` found, or found in an earlier run; one that is gone is no error.

        Raises:
            BadInput: the store refuses.
        """
        wanted = list(paths)
        with self._answering():
            for start in range(0, len(wanted), _BATCH):
                there = [path for path in wanted[start : start + _BATCH] if self._fs.exists(path)]
                if there:
                    self._fs.remove(there)

    def _is_there(self) -> bool:
        """Tell an empty store from one that is away: a folder that is not mounted, a bucket that does not exist."""
        if self._fs.exists(self._path):
            return True
        bucket = "" if self._path.startswith("/") else self._path.partition("/")[0]
        if self.remote is None or (bucket and self._fs.exists(bucket)):
            return False
        raise FileNotFoundError(self._path)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what the store's library raises, of which there is one for every kind of store, into one line."""
        try:
            yield
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(
                f"the {self.name} must be readable and writable, so that nothing in it is overlooked",
                received=type(error).__name__,
                remedy="check its address, its credentials and the network, then run the command again",
            ) from error
