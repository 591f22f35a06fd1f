"""The form of a ledger line and the laws of the chain: pure, over bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dlfd_ops.digest import canonical_json, sha256_bytes, sha256_json

GENESIS = "0" * 64
"""What the first event names as the hash before it, and the head of an empty ledger."""
MAX_LINE_BYTES = 16 << 20
MAX_PROBLEMS = 100
"""After so many problems a check stops: a ledger that is wrong throughout needs no longer list."""

KINDS: dict[str, frozenset[str]] = {
    "received": frozenset({"request_id", "key_id", "legal_basis", "received_at", "due_at", "target"}),
    "acknowledged": frozenset({"request_id"}),
    "extended": frozenset({"request_id", "due_at", "reason"}),
    "refused": frozenset({"request_id", "reason"}),
    "withdrawn": frozenset({"request_id"}),
    "resolved": frozenset(
        {"request_ids", "forget_list_digest", "forget_count", "manifest_digest", "trained_on_digest"}
    ),
    "unlearned": frozenset(
        {
            "request_ids",
            "forget_list_digest",
            "method",
            "params_digest",
            "parent_weights_digest",
            "weights_digest",
            "git_commit",
        }
    ),
    "evaluated": frozenset({"weights_digest", "forget_list_digest", "metrics"}),
    "registered": frozenset(
        {
            "model_name",
            "version",
            "run_id",
            "weights_digest",
            "forget_list_digest",
            "request_ids",
            "store",
            "provenance",
        }
    ),
    "gated": frozenset({"model_name", "version", "store", "passed", "rules"}),
    "signing_key": frozenset({"key_id", "replaces", "endorsement", "acceptance"}),
    "certified": frozenset({"name", "digest", "key_id", "request_ids"}),
    "erased": frozenset(
        {
            "request_ids",
            "plan_digest",
            "receipt_digest",
            "manifest_before",
            "manifest_after",
            "trained_on_before",
            "trained_on_after",
            "objects",
            "kept",
            "weights",
            "unreadable_revisions",
            "suppression_digest",
            "not_reached",
        }
    ),
    "promoted": frozenset({"model_name", "store", "version", "from_version", "by", "forced", "reason", "failed_rules"}),
    "rolled_back": frozenset({"model_name", "store", "version", "from_version", "by"}),
}
"""Kind of event -> the keys of its data, no more and no fewer: nothing unforeseen gets into a file that is kept."""

ABOUT: dict[str, tuple[str, ...]] = {
    "resolved": (),
    "unlearned": (),
    "evaluated": ("weights_digest", "forget_list_digest"),
    "gated": ("store", "model_name", "version"),
    "certified": ("name",),
    "promoted": ("store", "model_name"),
    "rolled_back": ("store", "model_name"),
}
"""Kinds whose newest event about the same thing counts: a decision taken back and taken again is told each time.

Of one forget list and of one unlearned model in a repository, too: going back to an earlier one is told.
"""

TOPICS: dict[str, str] = {"promoted": "champion", "rolled_back": "champion"}
"""Kinds of :data:`ABOUT` that take each other back: promoted, rolled back and promoted again is told three times."""

ONCE: dict[str, tuple[str, ...]] = {"registered": ("store", "model_name", "version", "run_id")}
"""Kinds told once about the same thing, whatever is told later: registering again cannot launder a changed tag."""

_SECOND = len("2026-01-01T00:00:00")
_FIELDS: dict[str, type] = {"seq": int, "at": str, "kind": str, "data": dict, "previous": str, "hash": str}


@dataclass(frozen=True)
class Event:
    """One line of the ledger.

    Attributes:
        seq: number of the event, from 1; the number of its line.
        at: when it was recorded, ISO 8601, UTC.
        kind: what happened.
        data: the facts; plain JSON.
        previous: hash of the event before, 64 zeros for the first.
        hash: SHA-256 of the canonical JSON of all other fields.
    """

    seq: int
    at: str
    kind: str
    data: dict[str, Any]
    previous: str
    hash: str

    def computed_hash(self) -> str:
        """Return the hash that the other fields call for."""
        return sha256_json({name: getattr(self, name) for name in _FIELDS if name != "hash"})


@dataclass(frozen=True)
class Problem:
    """One thing that does not hold in the ledger.

    Attributes:
        line: number of the line, from 1; one past the last line when the end is missing.
        rule: what should hold.
        expected: what should stand there.
        found: what stands there.
        recoverable: a torn last line: the next event moves it aside, and what it said is appended again by
            running the command again that was interrupted.
    """

    line: int
    rule: str
    expected: str
    found: str
    recoverable: bool = False

    def __str__(self) -> str:
        """Return the problem in one line."""
        return f"line {self.line}: {self.rule}: expected {self.expected}, found {self.found}"


class MalformedLineError(Exception):
    """A line that is no event.

    Args:
        expected: the form that it should have.
        found: what it has instead; never its content.
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


def parse_event(line: bytes) -> Event:
    """Read one line, its end included.

    Raises:
        MalformedLineError: not terminated, too long, no JSON in UTF-8, or another set of fields.
    """
    if len(line) > MAX_LINE_BYTES:
        raise MalformedLineError(f"a line of at most {MAX_LINE_BYTES} bytes", "a longer one")
    if not line.endswith(b"\n"):
        raise MalformedLineError("a line that ends with a line feed", "a torn one")
    try:
        value = _DECODER.decode(line.decode())
        if b"\\u" in line:  # written as it is, but for control characters: half a surrogate can't be, nor hashed
            canonical_json(value).encode()
        if not isinstance(value, dict) or {key: type(item) for key, item in value.items()} != _FIELDS:
            raise MalformedLineError(f"an object with {', '.join(_FIELDS)}", "something else")
    except (ValueError, RecursionError) as error:
        raise MalformedLineError("JSON in UTF-8", "bytes that are none") from error
    return Event(**value)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError("a number beyond all floats")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
"""One for all lines: ``json.loads`` with these arguments makes one for each."""


def line_hash(line: bytes, event: Event) -> str | None:
    """Return the SHA-256 of a line without its hash, as written; ``None`` when the hash is not spelled canonically.

    For a line in canonical JSON, as the ledger writes them, this is :meth:`Event.computed_hash`. Taking the bytes
    finds another spelling of the same content too, and spares a second serialisation of every event.
    """
    member = f'"hash":"{event.hash}",'.encode()
    start = line.rfind(member)  # the last one: a string of the data can't hold it, for its quotes would be escaped
    if start < 0:
        return None
    return sha256_bytes(line[:start] + line[start + len(member) : -1])


@dataclass(frozen=True)
class Chain:
    """A ledger that was read and checked in one pass.

    Attributes:
        events: every line that is an event; those up to the last problem where the check stopped.
        problems: what does not hold, in order of the lines; empty when all holds.
        whole: whether every line but a torn last one is an event, so that ``events`` is the whole history.
    """

    events: tuple[Event, ...]
    problems: tuple[Problem, ...]
    whole: bool

    @property
    def broken(self) -> Problem | None:
        """The first problem that running a command again does not mend."""
        return next((problem for problem in self.problems if not problem.recoverable), None)


def read_chain(lines: Iterable[bytes], expected_head: str | None) -> Chain:
    """Read the lines of a ledger and check each, by itself and against the one before.

    After a problem the check goes on from what stands in the file, so that one change is reported once. It stops
    after :data:`MAX_PROBLEMS`.

    Args:
        lines: all lines, their ends included.
        expected_head: a hash that must stand in the chain, or ``None``.
    """
    events: list[Event] = []
    problems: list[Problem] = []
    heads = {GENESIS}
    seq, previous, at, number, whole = 0, GENESIS, "", 0, True
    broken_before: Problem | None = None
    for number, line in enumerate(lines, start=1):
        if broken_before is not None:
            problems.append(broken_before)
            whole = False
        if len(problems) >= MAX_PROBLEMS:
            return Chain(tuple(events), (*problems, _too_many(number)), whole=False)
        try:
            event = parse_event(line)
        except MalformedLineError as error:
            broken_before = Problem(number, "a line must be an event", error.expected, error.found)
            continue
        known = broken_before is None
        broken_before = None
        if known:
            problems += _link_problems(event, number, seq + 1, previous, at)
        computed = line_hash(line, event)
        if event.hash != computed:
            problems.append(_hash_problem(event, number, computed))
        seq, previous, at = event.seq, event.hash, event.at[:_SECOND]
        heads.add(event.hash)
        events.append(event)
    if broken_before is not None:
        problems.append(_torn(broken_before))
    if expected_head is not None and expected_head not in heads:
        problems.append(
            Problem(number + 1, "the head recorded elsewhere must stand in the chain", expected_head, previous)
        )
    return Chain(tuple(events), tuple(problems), whole)


def _link_problems(event: Event, line: int, seq: int, previous: str, at: str) -> list[Problem]:
    found = []
    if event.seq != seq:
        found.append(Problem(line, "events must be numbered without a gap", str(seq), str(event.seq)))
    if event.previous != previous:
        found.append(Problem(line, "an event must name the hash of the one before", previous, event.previous))
    if event.at[:_SECOND] < at:
        found.append(Problem(line, "an event must not be earlier than the one before", at, event.at[:_SECOND]))
    return found


def _hash_problem(event: Event, line: int, computed: str | None) -> Problem:
    rule = "an event's hash must be that of its content"
    return Problem(line, rule, computed or "a hash in canonical JSON", event.hash)


def _torn(problem: Problem) -> Problem:
    return Problem(problem.line, "the last line must be whole", problem.expected, problem.found, recoverable=True)


def _too_many(line: int) -> Problem:
    return Problem(line, "the rest is read once these are mended", "fewer problems", f"{MAX_PROBLEMS} before this line")
