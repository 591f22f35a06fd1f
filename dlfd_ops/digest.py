"""Content digests and the canonical JSON that they are taken over."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def sha256_bytes(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as 64 lower-case hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_parts(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of the parts, one after the other, as 64 lower-case hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 lower-case hex digits, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON whose bytes depend on the content only.

    Keys are sorted, no insignificant white space, UTF-8 kept as it is, NaN refused.

    Raises:
        ValueError: ``value`` holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of ``value``'s canonical JSON."""
    return sha256_bytes(canonical_json(value).encode())


def sha256_set(items: Iterable[str]) -> str:
    """Return a digest of a set of strings: order and repetition do not matter."""
    return sha256_json(sorted(set(items)))


def dir_hash(folder: Path) -> str:
    """Return in-toto's ``dirHash`` of a folder: of the content and the relative path of every file in it.

    The lines that ``sha256sum`` prints for these files, sorted by name, are hashed again.

    Raises:
        ValueError: the name of a file holds a line feed or a backslash, which would make the list ambiguous.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if any("\n" in name or "\\" in name for name in files):
        raise ValueError("a file name with a line feed or a backslash")
    ordered = sorted(files, key=os.fsencode)
    return sha256_bytes(
        b"".join(f"{sha256_file(files[name])}  ".encode() + os.fsencode(name) + b"\n" for name in ordered)
    )
