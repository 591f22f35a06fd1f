"""The ledger: what happened to each request, append-only and hash-chained.

One line an event, canonical JSON. An event's hash is the SHA-256 of the canonical JSON of its
other fields, and one of these is the hash of the event before it: a line cannot change, move
or go without breaking the chain after it, or the head that somebody wrote down elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dlfd_ops.audit.chain import (
    ABOUT,
    GENESIS,
    KINDS,
    MAX_LINE_BYTES,
    ONCE,
    TOPICS,
    Chain,
    Event,
    MalformedLineError,
    Problem,
    parse_event,
    read_chain,
)
from dlfd_ops.audit.facts import check_facts
from dlfd_ops.digest import canonical_json, sha256_json
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.files import locked, write_bytes

LEDGER_FILE = Path("audit/ledger.jsonl")
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
"""By which the clock of the machine that wrote the last event may be ahead of this one's."""
LOCK_SECONDS = 120.0
"""Longest wait for another writer."""


@dataclass(frozen=True)
class _Tail:
    """Bytes after the last whole event, and where they begin."""

    start: int
    content: bytes


class Ledger:
    """An append-only file of events.

    Args:
        path: the file; it is created by the first event.
        lock: lock file of the writers; by default ``.dlfd/ledger.lock`` beside the ledger's folder.
    """

    def __init__(self, path: Path = LEDGER_FILE, lock: Path | None = None) -> None:
        self.path = path
        self.lock = lock if lock is not None else path.parent.parent / ".dlfd" / "ledger.lock"

    def append(self, kind: str, data: Mapping[str, Any]) -> Event:
        """Append one event, see :meth:`append_all`."""
        return self.append_all([(kind, data)])[0]

    def append_all(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Event]:
        """Append events durably, in order; one that stands in the ledger already is not repeated.

        Of the kinds in :data:`ABOUT` the newest event about the same thing counts: a verdict that went from A to B and
        back to A is told three times. Of those in :data:`ONCE` the first one does, and a later one is dropped.

        A last line that a crash left torn is first moved to ``<ledger>.torn-<n>``.

        Args:
            items: kind (a key of :data:`KINDS`) and data of each event.

        Returns:
            For each item its event: the new one, or the one that was there.

        Raises:
            CheckFailed: a whole line of the ledger is not an event, or the last one is not intact or from the future.
            BadInput: another writer holds the ledger for too long, or the data are no finite JSON.
        """
        wanted = [(kind, _plain(kind, data)) for kind, data in items]
        with self._locked():
            events, tail = self._read()
            self._set_aside(tail)
            known = {_identity(event.kind, event.data): event for event in events}
            last = self._intact(events)
            lines, result = [], []
            for kind, data in wanted:
                identity = _identity(kind, data)
                if identity not in known or (kind in ABOUT and not _same(known[identity], kind, data)):
                    last = _following(last, kind, data)
                    known[identity] = last
                    lines.append(_line(last))
                result.append(known[identity])
            self._write(b"".join(lines))
            return result

    def events(self) -> list[Event]:
        """Return the events in order; a torn last line is no event. The chain is not checked.

        Raises:
            CheckFailed: a whole line is not an event; the line is named.
        """
        return self._read()[0]

    def trusted(self) -> tuple[Event, ...]:
        """Return the events of a chain that holds, but for a torn last line, which the next event moves aside.

        Each states the facts of its kind: whoever may write the file can make a chain hold around anything.

        Raises:
            BadInput: an event lacks a fact; it is named.
            CheckFailed: the chain does not hold; the first line that is wrong is named.
        """
        chain = self.read()
        if chain.broken is not None:
            raise CheckFailed(
                "the ledger must hold before anything is built on it",
                received=str(chain.broken),
                remedy="run `dlfd-ops audit verify`, and restore the file from git",
            )
        check_facts(chain.events)
        return chain.events

    def head(self) -> str:
        """Return the hash of the last event, 64 zeros for an empty ledger: write it down elsewhere as an anchor."""
        events = self.events()
        return events[-1].hash if events else GENESIS

    def verify(self, expected_head: str | None = None) -> list[Problem]:
        """Check every line and the chain, in linear time.

        Args:
            expected_head: a head that was written down elsewhere; it must stand in the chain. Events after it are
                checked too, but nothing outside vouches for them.

        Returns:
            What does not hold, in order of the lines; empty when all holds.
        """
        return list(self.read(expected_head).problems)

    def read(self, expected_head: str | None = None) -> Chain:
        """Return the events together with what does not hold, in one pass; see :meth:`verify`."""
        return read_chain(self._lines(), expected_head)

    def _read(self) -> tuple[list[Event], _Tail]:
        events: list[Event] = []
        position = 0
        torn: MalformedLineError | None = None
        for number, line in enumerate(self._lines(), start=1):
            if torn is not None:
                raise _not_an_event(self.path, number - 1, torn)
            try:
                events.append(parse_event(line))
                position += len(line)
            except MalformedLineError as error:
                torn = error
        if torn is None:
            return events, _Tail(position, b"")
        with self.path.open("rb") as stream:
            stream.seek(position)
            return events, _Tail(position, stream.read())

    def _intact(self, events: Sequence[Event]) -> Event | None:
        if not events:
            return None
        last = events[-1]
        if last.hash != last.computed_hash():
            raise CheckFailed(
                f"{self.path} line {len(events)} must carry the hash of its content",
                received="another hash",
                remedy="run `dlfd-ops audit verify`, and restore the file from git",
            )
        return last

    def _lines(self) -> Iterator[bytes]:
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            while line := stream.readline(MAX_LINE_BYTES + 1):
                yield line

    def _set_aside(self, tail: _Tail) -> None:
        if not tail.content:
            return
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.torn-{number}")).exists():
            if aside.read_bytes() == tail.content:
                break
            number += 1
        else:
            write_bytes(aside, tail.content)
        with self.path.open("r+b") as stream:
            stream.truncate(tail.start)
            os.fsync(stream.fileno())

    def _write(self, content: bytes) -> None:
        if not content:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.lock, seconds=LOCK_SECONDS, rule="one process at a time writes the ledger")


def _identity(kind: str, data: Mapping[str, Any]) -> str:
    """Return what two events share when the second only repeats the first, or revises it."""
    about = ABOUT.get(kind, ONCE.get(kind))
    return canonical_json([TOPICS.get(kind, kind), data if about is None else [data.get(key) for key in about]])


def _same(event: Event, kind: str, data: Mapping[str, Any]) -> bool:
    return (event.kind, event.data) == (kind, data)


def _following(last: Event | None, kind: str, data: dict[str, Any]) -> Event:
    body: dict[str, Any] = {
        "seq": last.seq + 1 if last else 1,
        "at": _now(last),
        "kind": kind,
        "data": data,
        "previous": last.hash if last else GENESIS,
    }
    return Event(**body, hash=sha256_json(body))


def _now(last: Event | None) -> str:
    """Return the time of a new event: no earlier than the last one, as the clocks of two machines differ a little."""
    now = datetime.now(UTC)
    at = _stamp(now)
    if last is not None and last.at > _stamp(now + MAX_CLOCK_DIFFERENCE):
        raise CheckFailed(
            "the ledger's last event must not be from the future",
            received=f"{last.at[:30]!r}, where this clock says {at}",
            remedy="set the clock that is wrong; restore the ledger from git where the event's was",
        )
    return at if last is None else max(at, last.at)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _line(event: Event) -> bytes:
    line = canonical_json(asdict(event)).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise BadInput(
            f"an event may hold at most {MAX_LINE_BYTES} bytes",
            received=f"{len(line)} bytes",
            remedy="unlearn fewer requests at once",
        )
    return line


def _plain(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` as the plain JSON that a reader will get back (tuples become lists)."""
    if kind not in KINDS or set(data) != KINDS[kind]:
        raise ValueError(f"event {kind!r} must have the keys {sorted(KINDS.get(kind, ()))}, received {sorted(data)}")
    try:
        plain: dict[str, Any] = json.loads(canonical_json(dict(data)))
    except ValueError as error:
        raise BadInput(
            f"the data of a ledger event ({kind}) must be finite JSON",
            received="NaN or an infinity",
            remedy="look at the metrics: the model may have collapsed",
        ) from error
    return plain


def _not_an_event(path: Path, line: int, error: MalformedLineError) -> CheckFailed:
    return CheckFailed(
        f"{path} line {line} must be {error.expected}",
        received=error.found,
        remedy="run `dlfd-ops audit verify`, and restore the file from git",
    )
