"""Looking for what must not have leaked, in everything that a repository's pipeline wrote, whatever it is packed in."""

from __future__ import annotations

import io
import re
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

RAW = Path("data/raw")
DVC = Path(".dvc")


@dataclass(frozen=True)
class Leak:
    """A secret, and where it stands."""

    where: str
    secret: str


def find_leaks(root: Path, names: Iterable[str], hashes: Iterable[str] = (), printed: str = "") -> list[Leak]:
    """Return every secret found in a repository's files outside of raw data and DVC, in Git's objects, and printed.

    Args:
        root: the repository.
        names: what must not stand anywhere.
        hashes: hex digests of 32 or 64 digits that must not, however they are joined to other digits.
        printed: what the commands printed.
    """
    named = re.compile(b"|".join(re.escape(name.encode()) for name in sorted(names)))
    wanted = {digest.encode() for digest in hashes}
    contents = [("standard output", printed.encode()), *_files(root), *_git_objects(root)]
    return [
        Leak(where, secret.decode())
        for where, packed in contents
        for content in _unpacked(packed)
        for secret in {*named.findall(content), *(wanted & set(_digests(content)))}
    ]


def _digests(content: bytes) -> Iterator[bytes]:
    """Yield every 32 and every 64 hex digits that stand together."""
    for run in re.findall(b"[0-9a-fA-F]{32,}", content):
        for size in (32, 64):
            yield from (run[start : start + size].lower() for start in range(len(run) - size + 1))


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        if place.is_relative_to(RAW) or place.parts[0] in (".git", str(DVC)) or not path.is_file():
            continue
        yield f"name of {place}", str(place).encode()
        yield str(place), path.read_bytes()


def _git_objects(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the content of every object that Git holds, reachable or not: they are compressed on disk."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch"]
    yield "Git's objects", subprocess.run(command, cwd=root, capture_output=True, check=True).stdout


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Yield the bytes as they are and, of a packed format, what they hold."""
    yield content
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield member.encode()
                yield from _unpacked(archive.read(member))
    elif content[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(content))
        yield str(table.schema.metadata).encode() + table.to_pandas().to_csv().encode()
    elif content[:15] == b"SQLite format 3":
        database = sqlite3.connect(":memory:")
        database.deserialize(content)
        yield "\n".join(database.iterdump()).encode()
        database.close()
