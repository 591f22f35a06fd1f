"""Why a row of a source can't become a sample, said without naming a file or a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dlfd_ops.errors import BadInput


class Reason(StrEnum):
    """Why a row is refused; the value is the key under which it is counted."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    ESCAPES = "escapes"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    UNDECODABLE = "undecodable"
    DIGEST_MISMATCH = "digest_mismatch"
    MALFORMED_ROW = "malformed_row"
    MALFORMED_NAME = "malformed_name"
    UNKNOWN_LABEL = "unknown_label"
    UNKNOWN_SPLIT = "unknown_split"

    @property
    def rule(self) -> str:
        """What should have held."""
        return _EXPLANATIONS[self].rule

    @property
    def remedy(self) -> str:
        """What the user can do about it."""
        return _EXPLANATIONS[self].remedy


class _Explanation(NamedTuple):
    rule: str
    remedy: str


_EXPLANATIONS = {
    Reason.MISSING: _Explanation("a listed image must exist", "restore the file or remove its row"),
    Reason.UNREADABLE: _Explanation("an image must be a readable regular file", "check its type and permissions"),
    Reason.ESCAPES: _Explanation(
        "an image path must be relative and stay inside prepare.root, symbolic links followed",
        "move the image into prepare.root, and let DVC check out copies or hard links",
    ),
    Reason.EMPTY: _Explanation("an image file must hold bytes", "restore the file"),
    Reason.TOO_LARGE: _Explanation(
        "an image file must not exceed prepare.max_file_megabytes", "shrink the image or raise the limit"
    ),
    Reason.TOO_MANY_PIXELS: _Explanation(
        "an image must not exceed prepare.max_megapixels", "shrink the image or raise the limit"
    ),
    Reason.UNDECODABLE: _Explanation(
        "an image must be a whole JPEG, PNG, WebP or BMP file", "restore the file or convert it"
    ),
    Reason.DIGEST_MISMATCH: _Explanation(
        "an image must have the sha256 that its row states", "restore the file or correct the digest"
    ),
    Reason.MALFORMED_ROW: _Explanation("a row must fill the columns of its header", "correct the row"),
    Reason.MALFORMED_NAME: _Explanation("an image's name must follow the source's published scheme", "rename the file"),
    Reason.UNKNOWN_LABEL: _Explanation("a label must be one of the source's classes", "correct the label"),
    Reason.UNKNOWN_SPLIT: _Explanation(
        "a row must name a split when prepare.split_by is source", "fill it in or use split_by: subject"
    ),
}


@dataclass(frozen=True)
class BadRow:
    """A row that can't become a sample.

    Attributes:
        where: its place in the source ("manifest.csv line 7"); names no file of an image and no person.
        reason: see :class:`Reason`.
        path: the image's path as the source gives it. Private: it may be a raw identity.
        subject: the raw name of the person, where the row tells it. It stays in memory: an erasure must find the row,
            and nothing else has use for it.
    """

    where: str
    reason: Reason
    path: str
    subject: str | None = field(default=None, repr=False)

    def to_error(self) -> BadInput:
        """Return the error that stops the stage; it does not name the file."""
        return BadInput(
            f"{self.where}: {self.reason.rule}",
            received=self.reason.value,
            remedy=f"{self.reason.remedy}, or set prepare.on_bad_image to skip",
        )
