"""The words of every comparison: what differs, what was compared, and what could not be.

Three answers are possible for each thing: it agrees, it differs (a :class:`Finding`), or it could not be compared (not
checked). Something that is expected and missing differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlfd_ops.audit.timeline import printable

MISSING = "nothing"


@dataclass(frozen=True)
class Finding:
    """Something that differs.

    Attributes:
        what: the file, tag or line, as a person would look it up.
        expected: what the ledger says.
        found: what stands there.
    """

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return printable(f"{self.what}: expected {self.expected}, found {self.found}", limit=2000)


@dataclass(frozen=True)
class Verification:
    """The outcome of comparing several things.

    Attributes:
        findings: what differs; empty when all agrees.
        checked: what was compared.
        not_checked: what could not be compared, each with the reason.
    """

    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()

    def __add__(self, other: Verification) -> Verification:
        return Verification(
            self.findings + other.findings, self.checked + other.checked, self.not_checked + other.not_checked
        )


def compare_digest(what: str, accepted: Sequence[str], found: str | None) -> Verification:
    """Compare one digest with those that the ledger allows, the expected one first; with none it is not checked."""
    if not accepted:
        return Verification(not_checked=(f"{what}: the ledger names no digest of it yet",))
    if found in accepted:
        return Verification(checked=(what,))
    return Verification(findings=(Finding(what, accepted[0], found or MISSING),), checked=(what,))


def compare_values(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Verification:
    """Compare every expected field with the one found under its name; further fields found are ignored."""
    findings = tuple(
        Finding(f"{what} {name}", printable(value), printable(found.get(name, MISSING)))
        for name, value in expected.items()
        if found.get(name, MISSING) != value
    )
    return Verification(findings=findings, checked=(what,))


def compare_version(what: str, expected: Mapping[str, str], found: Mapping[str, str] | None) -> Verification:
    """Compare a registered version with the ledger.

    Args:
        what: how to name the version.
        expected: the tags, and further fields, that follow from the ledger.
        found: what the store has of it, or None when the version is not there.
    """
    if found is None:
        return Verification(findings=(Finding(what, "a version in the store", MISSING),), checked=(what,))
    return compare_values(what, expected, found)
