"""The suppression list: what was forgotten and removed must not come back with the next data delivery.

It holds keyed hashes only. Whoever has the secret key recognises a photo or a name that is delivered again; anybody
else sees numbers that say nothing. It grows when data are removed, and ``prepare`` leaves out what stands on it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dlfd_ops.data.identity import SecretKey, check_key_id
from dlfd_ops.data.subjects import Subject
from dlfd_ops.deletion.perceptual import mask, perceptual_hash
from dlfd_ops.deletion.requests import KeyedHash, KeyId, RequestId
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.files import locked, read_bounded, write_text

SUPPRESSION_FILE = Path("deletion/suppression.csv")
MAX_SUPPRESSION_BYTES = 256 << 20
LOCK_SECONDS = 120.0
"""Longest wait for another writer."""

_COLUMNS = ("kind", "keyed_hash", "perceptual", "request_id", "key_id")


class Suppressed(BaseModel):
    """One thing that must not come back, and the request that says so.

    Attributes:
        kind: ``sample``: these very bytes of an image file; ``subject``: whatever stands under this name.
        keyed_hash: the sample id, or the subject key of one of the person's names.
        perceptual: the sample's perceptual hash under a mask (see :mod:`dlfd_ops.deletion.perceptual`), or empty.
        request_id: of the deletion request.
        key_id: public id of the key that the hashes were made with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sample", "subject"]
    keyed_hash: KeyedHash
    perceptual: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    request_id: RequestId
    key_id: KeyId

    @model_validator(mode="after")
    def _only_samples_look_like_something(self) -> Self:
        if self.kind == "subject" and self.perceptual:
            raise ValueError("a subject has no perceptual hash")
        return self

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What stands once in the list; also its order."""
        return self.kind, self.keyed_hash, self.request_id, self.key_id


def suppress_sample(key: SecretKey, sample_id: str, request_id: str, image: Path | None = None) -> Suppressed:
    """Return the entry of an image.

    Args:
        key: that ``sample_id`` was made with.
        sample_id: keyed hash of the image file's bytes.
        request_id: of the deletion request.
        image: its prepared image, so that another encoding of the photo is noticed; ``None`` where it is gone.

    Raises:
        BadInput: ``image`` is no image.
    """
    perceptual = mask(key, sample_id, perceptual_hash(image)) if image else ""
    return Suppressed(
        kind="sample", keyed_hash=sample_id, perceptual=perceptual, request_id=request_id, key_id=key.key_id
    )


def suppress_subject(key_id: str, subject_key: str, request_id: str) -> Suppressed:
    """Return the entry of one name of a person; give every alias of the person an entry of its own."""
    return Suppressed(kind="subject", keyed_hash=subject_key, request_id=request_id, key_id=key_id)


def append_suppressed(entries: Iterable[Suppressed], path: Path = SUPPRESSION_FILE) -> int:
    """Add entries to the list, in one rename; what stands there already is not added again.

    Of two that add at once, one waits for the other, and both are on the list.

    Returns:
        How many were new.

    Raises:
        BadInput: the file that is there is damaged, or another writer holds it for too long.
    """
    lock = path.parent.parent / ".dlfd" / "suppression.lock"
    with locked(lock, seconds=LOCK_SECONDS, rule="one command at a time changes the suppression list"):
        before = read_suppression(path) if path.exists() else ()
        known = {entry.identity: entry for entry in before}
        for entry in entries:
            if entry.perceptual or entry.identity not in known:
                known[entry.identity] = entry
        after = tuple(known[identity] for identity in sorted(known))
        if after != before or not path.exists():
            write_text(path, _to_csv(after))
        return len(after) - len(before)


def read_suppression(path: Path = SUPPRESSION_FILE) -> tuple[Suppressed, ...]:
    """Read and validate the suppression list, sorted.

    Raises:
        BadInput: missing, too large, not in the format, or an entry stands twice or out of order; the line is named.
    """
    content = read_bounded(path, max_bytes=MAX_SUPPRESSION_BYTES, what=str(path))
    entries: list[Suppressed] = []
    line = 1
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise _unreadable(path, line, f"the columns {', '.join(_COLUMNS)}")
        for row in reader:
            line = reader.line_num
            entries.append(_parse(row, path, line))
            if entries[-2:-1] and entries[-2].identity >= entries[-1].identity:
                raise _unreadable(path, line, "an entry that stands once and in order")
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, line, "UTF-8 CSV") from error
    return tuple(entries)


def list_digest(entries: Iterable[Suppressed]) -> str:
    """Return the SHA-256 of who and what is on the list; a perceptual hash may be added to an entry later."""
    return sha256_json(sorted(entry.identity for entry in entries))


def check_same_key(entries: Iterable[Suppressed], key: SecretKey) -> None:
    """Check that all entries can be recognised with ``key``.

    Raises:
        BadInput: an entry was made with another key; both ids are named.
    """
    for key_id in sorted({entry.key_id for entry in entries}):
        check_key_id(key, key_id, str(SUPPRESSION_FILE))


def without_suppressed(subjects: Sequence[Subject], entries: Iterable[Suppressed]) -> list[Subject]:
    """Return the people and photos that may stay.

    A person goes with every photo when one of their names is on the list, or a photo that went with a person: names
    that share a photo are one person. A photo that was asked for alone goes alone.

    Args:
        subjects: the people of the data, with all their names.
        entries: the suppression list.
    """
    samples: dict[str, list[str]] = {}
    names: set[str] = set()
    of_people: set[str] = set()
    for entry in entries:
        if entry.kind == "sample":
            samples.setdefault(entry.keyed_hash, []).append(entry.request_id)
        else:
            names.add(entry.keyed_hash)
            of_people.add(entry.request_id)
    gone = {sample for sample, requests in samples.items() if of_people.intersection(requests)}
    kept = []
    for subject in subjects:
        if names.intersection({subject.subject_key, *subject.aliases}) or gone.intersection(subject.sample_ids):
            continue
        photos = tuple(sample for sample in subject.sample_ids if sample not in samples)
        if photos:
            kept.append(replace(subject, sample_ids=photos))
    return kept


def _to_csv(entries: Iterable[Suppressed]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(entry, column) for column in _COLUMNS] for entry in entries)
    return text.getvalue()


def _parse(row: dict[str, Any], path: Path, line: int) -> Suppressed:
    try:
        return Suppressed.model_validate(row)
    except (ValidationError, TypeError) as error:
        raise _unreadable(path, line, f"{len(_COLUMNS)} valid fields") from error


def _unreadable(path: Path, line: int, rule: str) -> BadInput:
    return BadInput(
        f"{path} line {line} must have {rule}",
        received="something else",
        remedy="the list is never edited by hand: restore it from git",
    )
