"""The errors a user sees: the rule, the value received, the remedy, in one line.

Everything a command may report derives from :class:`DlfdError` and carries the exit
status of the outside contract. Anything else that escapes is a defect of this package.
"""

from __future__ import annotations

from typing import ClassVar


class DlfdError(Exception):
    """Base of the errors that a command turns into one line and an exit status.

    Args:
        rule: what should hold, as a statement ("an image has at most 64 megapixels").
        received: what was found instead; never a raw identity.
        remedy: what the user can do about it.
    """

    exit_status: ClassVar[int] = 2

    def __init__(self, rule: str, *, received: str, remedy: str) -> None:
        self.rule = rule
        self.received = received
        self.remedy = remedy
        line = f"{rule}; received {received}; {remedy}"
        super().__init__(" ".join(line.split()))


class BadInput(DlfdError):
    """A file, parameter or argument that the user must change (exit status 2)."""


class CheckFailed(DlfdError):
    """A check ran and did not hold: gate, ledger, verification (exit status 1)."""

    exit_status = 1


class Diverged(BadInput):
    """A model whose losses are no numbers: trained or unlearned at too high a rate."""


def machine_failure(error: OSError) -> BadInput:
    """Return a failure of the machine (permissions, a full disk) as bad input; a file's name may be somebody's."""
    reason = error.strerror or type(error).__name__
    return BadInput("files must be readable and writable", received=reason, remedy="check the disk")
