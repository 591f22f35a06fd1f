"""The ledger: appending, concurrency, recovery, and that every change is found."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlfd_ops.audit.chain import GENESIS, MAX_PROBLEMS, Event, Problem, read_chain
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.digest import canonical_json, sha256_json
from dlfd_ops.errors import BadInput, CheckFailed

APPEND_MANY = """
import sys
from collections.abc import Callable
from pathlib import Path
from dlfd_ops.audit.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(50):
    ledger.append("acknowledged", {"request_id": f"{sys.argv[2]}-{number}"})
"""


def chain(count: int, at: str = "2026-01-05T12:00:00.000000Z", *, last: str | None = None) -> list[bytes]:
    """Return the lines of an intact ledger of ``count`` events, all of one moment but for the last."""
    lines, previous = [], GENESIS
    for seq in range(1, count + 1):
        body: dict[str, Any] = {
            "seq": seq,
            "at": last if last is not None and seq == count else at,
            "kind": "acknowledged",
            "data": {"request_id": f"req-{seq:012x}", "note": "ö"},
            "previous": previous,
        }
        previous = sha256_json(body)
        lines.append(canonical_json({**body, "hash": previous}).encode() + b"\n")
    return lines


LINES = chain(5)
CONTENT = b"".join(LINES)
HEAD = json.loads(LINES[-1])["hash"]


def problems(content: bytes, expected_head: str | None = HEAD) -> list[Problem]:
    """Check the bytes of a ledger."""
    return list(read_chain(content.splitlines(keepends=True), expected_head).problems)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(tmp_path / "audit" / "ledger.jsonl")


def test_events_are_chained_and_read_back(ledger: Ledger) -> None:
    """Each event names the hash of the one before; the head is the last hash; all of it verifies."""
    first = ledger.append("acknowledged", {"request_id": "a"})
    second = ledger.append("withdrawn", {"request_id": "a"})
    assert (first.seq, first.previous) == (1, GENESIS)
    assert (second.seq, second.previous) == (2, first.hash)
    assert ledger.events() == [first, second]
    assert ledger.head() == second.hash
    assert ledger.verify(second.hash) == ledger.verify(first.hash) == ledger.verify() == []


def test_an_empty_ledger_has_the_zero_head(ledger: Ledger) -> None:
    """Before the first event there is no file, no event and no problem."""
    assert (ledger.events(), ledger.head(), ledger.verify(GENESIS)) == ([], GENESIS, [])


def test_the_same_event_is_appended_once(ledger: Ledger) -> None:
    """Same kind and data return the first event; tuples count as the lists that they are read back as."""
    digests = {"forget_list_digest": "d", "manifest_digest": "m", "trained_on_digest": "t"}
    data = {"request_ids": ("a", "b"), "forget_count": 2, **digests}
    first = ledger.append("resolved", data)
    again = ledger.append_all([("resolved", data), ("resolved", {**data, "request_ids": ["a", "b"]})])
    assert again == [first, first]
    assert len(ledger.events()) == 1


@pytest.mark.parametrize(
    ("kind", "data"), [("received", {}), ("guessed", {}), ("withdrawn", {"request_id": "a", "name": "b"})]
)
def test_only_the_agreed_facts_get_in(ledger: Ledger, kind: str, data: dict[str, str]) -> None:
    """An unknown kind, a missing key or a further key is a mistake of the programmer."""
    with pytest.raises(ValueError, match="must have the keys"):
        ledger.append(kind, data)
    assert not ledger.path.exists()


def test_numbers_that_are_none_stay_out(ledger: Ledger) -> None:
    """NaN is no JSON: it is bad input with a hint, and nothing is written."""
    with pytest.raises(BadInput, match="finite JSON"):
        ledger.append("evaluated", {"weights_digest": "w", "forget_list_digest": "f", "metrics": {"x": math.nan}})
    assert not ledger.path.exists()


def test_two_processes_lose_nothing(ledger: Ledger) -> None:
    """Two writers at once append 50 events each, and the chain holds."""
    command = [sys.executable, "-c", APPEND_MANY, str(ledger.path)]
    writers = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    ids = {event.data["request_id"] for event in ledger.events()}
    assert ids == {f"{name}-{number}" for name in ("one", "two") for number in range(50)}
    assert len(ledger.events()) == 100
    assert ledger.verify() == []


@pytest.mark.parametrize("torn", [LINES[2][:40], LINES[2][:-1], b"\x00\x00\x00\n", b"{}\n"])
def test_a_torn_last_line_is_moved_aside(ledger: Ledger, torn: bytes) -> None:
    """It is no event, verification calls it recoverable, and the next event goes where it began."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b"".join(LINES[:2]) + torn)
    assert len(ledger.events()) == 2
    (problem,) = ledger.verify()
    assert (problem.line, problem.recoverable) == (3, True)
    event = ledger.append("withdrawn", {"request_id": "a"})
    assert event.seq == 3
    assert ledger.verify() == []
    assert ledger.path.with_name("ledger.jsonl.torn-1").read_bytes() == torn


def test_recovery_that_was_interrupted_is_completed(ledger: Ledger) -> None:
    """A torn line that was copied but not yet cut off is not copied twice; another one gets the next number."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(LINES[0] + b'{"at"')
    ledger.path.with_name("ledger.jsonl.torn-1").write_bytes(b'{"at"')
    ledger.append("withdrawn", {"request_id": "a"})
    ledger.path.write_bytes(ledger.path.read_bytes() + b'{"da')
    ledger.append("withdrawn", {"request_id": "b"})
    torn = sorted(path.name for path in ledger.path.parent.glob("*.torn-*"))
    assert torn == ["ledger.jsonl.torn-1", "ledger.jsonl.torn-2"]
    assert ledger.verify() == []


def test_a_broken_ledger_takes_no_event(ledger: Ledger) -> None:
    """A line in the middle that is no event, or a last event with another hash, stops the writer."""
    ledger.path.parent.mkdir()
    for content, line in [
        (LINES[0] + b"{}\n" + LINES[2], 2),
        (LINES[0] + LINES[1].replace(b"acknowledged", b"withdrawn"), 2),
    ]:
        ledger.path.write_bytes(content)
        with pytest.raises(CheckFailed, match=f"line {line} must"):
            ledger.append("withdrawn", {"request_id": "a"})
        assert ledger.path.read_bytes() == content


def test_the_intact_chain_has_no_problem() -> None:
    """What the next tests change was right before."""
    assert problems(CONTENT) == []


@settings(deadline=None, max_examples=400)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_every_changed_byte_is_found(position: int, change: int) -> None:
    """Whatever byte becomes whatever other one, something does not hold any more."""
    content = bytearray(CONTENT)
    content[position] ^= change
    assert problems(bytes(content))


@settings(deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, len(CONTENT)))
def test_every_deletion_is_found(start: int, length: int) -> None:
    """Any run of bytes, a truncation at the end included, is missed; the anchored head tells when whole lines went."""
    assert problems(CONTENT[:start] + CONTENT[start + length :])


@settings(deadline=None)
@given(st.integers(0, len(CONTENT)), st.binary(min_size=1, max_size=20))
def test_every_insertion_is_found(position: int, inserted: bytes) -> None:
    """No byte can be slipped in anywhere."""
    assert problems(CONTENT[:position] + inserted + CONTENT[position:])


@given(st.permutations(LINES))
def test_every_other_order_is_found(lines: list[bytes]) -> None:
    """Only the order in which the events happened holds."""
    assert bool(problems(b"".join(lines))) == (lines != LINES)


@pytest.mark.parametrize("count", range(5))
def test_a_shorter_chain_lacks_the_anchored_head(count: int) -> None:
    """Whole lines cut from the end leave an intact chain: only the head written down elsewhere tells."""
    shorter = b"".join(LINES[:count])
    assert problems(shorter, None) == []
    (problem,) = problems(shorter)
    assert (problem.line, problem.expected) == (count + 1, HEAD)


def test_events_after_the_anchored_head_are_fine() -> None:
    """A ledger that grew since its head was written down still holds it."""
    assert problems(b"".join(chain(8))) == []


def test_a_problem_names_line_expectation_and_finding() -> None:
    """A changed fact is reported once, at its line, with the hash that its content calls for."""
    (problem,) = problems(CONTENT.replace(b"req-000000000003", b"req-000000000009"))
    stored = json.loads(LINES[2])["hash"]
    assert (problem.line, problem.found) == (3, stored)
    changed = json.loads(LINES[2].replace(b"req-000000000003", b"req-000000000009"))
    assert problem.expected == Event(**changed).computed_hash()
    assert str(problem).startswith("line 3: an event's hash must be that of its content: expected ")


def test_a_missing_line_is_reported_where_it_is_missing() -> None:
    """The number and the previous hash of the line that moved up do not fit; later lines do."""
    found = problems(b"".join(LINES[:2] + LINES[3:]))
    assert [(problem.line, problem.expected) for problem in found] == [(3, "3"), (3, json.loads(LINES[1])["hash"])]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000 + b"\n",
        b'{"seq":' + b"9" * 10_000 + b"}\n",
        b'{"data":{"x":NaN}}\n',
        LINES[0].replace(b'"seq":1', b'"seq":true'),
        LINES[0].decode().encode("utf-16"),
        LINES[0].replace("ö".encode(), b"\\ud800"),
        LINES[0].replace('"ö"'.encode(), b"1e999"),
        b"\n",
    ],
    ids=["deep", "huge", "nan", "bool", "utf-16", "half a surrogate", "infinite", "blank"],
)
def test_hostile_lines_are_problems_not_crashes(line: bytes) -> None:
    """Whatever JSON can be bent into is reported as a line that is no event."""
    found = read_chain([line, LINES[1]], None).problems
    assert found[0].line == 1
    assert found[0].rule == "a line must be an event"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"note"', b'"note":"","note"'),
        ("ö".encode(), b"\\u00f6"),
        (b'"hash":', b'"hash": '),
        (b'"seq":1}', b'"seq":1 }'),
    ],
    ids=["repeated key", "escape", "space in the hash", "space elsewhere"],
)
def test_another_spelling_of_the_same_content_is_found(old: bytes, new: bytes) -> None:
    """The hash is over the bytes: one event has one spelling."""
    (problem,) = read_chain([LINES[0].replace(old, new), *LINES[1:]], HEAD).problems
    assert (problem.line, problem.rule) == (1, "an event's hash must be that of its content")


def test_time_does_not_run_backwards() -> None:
    """A clock that was set back would make a late answer timely; it is found, in whichever order the rest stands."""
    assert read_chain(chain(3, last="2026-01-05T12:00:00Z"), None).problems == ()
    (problem,) = read_chain(chain(3, last="2026-01-05T11:59:59.999999Z"), None).problems
    assert (problem.line, problem.rule) == (3, "an event must not be earlier than the one before")


def test_an_event_is_dated_no_earlier_than_the_last_one(ledger: Ledger) -> None:
    """The clock of this machine may be behind that of the one which wrote before."""
    ledger.path.parent.mkdir(parents=True)
    ahead = (datetime.now(UTC) + timedelta(minutes=4)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    ledger.path.write_bytes(b"".join(chain(1, ahead)))
    assert ledger.append("withdrawn", {"request_id": "a"}).at == ahead
    assert ledger.verify() == []


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00.000000Z", "z"])
def test_an_event_from_the_future_is_not_followed(ledger: Ledger, at: str) -> None:
    """One wrong clock would date everything after it."""
    ledger.path.parent.mkdir(parents=True)
    ledger.path.write_bytes(b"".join(chain(1, at)))
    with pytest.raises(CheckFailed, match="must not be from the future"):
        ledger.append("withdrawn", {"request_id": "a"})


def test_only_a_chain_that_holds_is_trusted(ledger: Ledger) -> None:
    """A torn last line is mended by the next event; any other change is refused with its line."""
    ledger.path.parent.mkdir(parents=True)
    ledger.path.write_bytes(CONTENT + LINES[0][:20])
    assert len(ledger.trusted()) == len(LINES)
    ledger.path.write_bytes(CONTENT.replace(b"ack", b"hack", 1))
    with pytest.raises(CheckFailed, match="must hold before anything is built on it; received line 1"):
        ledger.trusted()


def test_a_fact_that_looks_like_a_hash_is_no_hash(ledger: Ledger) -> None:
    """Text in the data that imitates the hash member does not move the hash."""
    event = ledger.append("withdrawn", {"request_id": '"hash":"' + "0" * 64 + '",'})
    assert ledger.verify(event.hash) == []


def test_a_ledger_that_is_wrong_throughout_is_not_listed_line_by_line() -> None:
    """The check stops after a bounded number of problems, and says that it did."""
    found = problems(b"{}\n" * 10_000)
    assert len(found) == MAX_PROBLEMS + 1
    assert [problem.line for problem in found[:3]] == [1, 2, 3]
    assert "the rest" in found[-1].rule


def test_one_pass_reads_and_checks(history: Ledger) -> None:
    """The events and the problems of one pass are those of two."""
    chain = history.read(history.head())
    assert list(chain.events) == history.events()
    assert (chain.problems, chain.whole) == ((), True)
    torn = history.path.read_bytes()[:-1]
    history.path.write_bytes(torn)
    chain = history.read()
    assert (len(chain.events), len(chain.problems), chain.whole) == (len(torn.splitlines()) - 1, 1, True)
    history.path.write_bytes(torn.replace(b'"kind"', b"kind", 1) + b"\n")
    assert not history.read().whole


class TestEverySmallChange:
    """One small change anywhere in a real ledger, tried exhaustively, is found by who noted its head."""

    @pytest.fixture
    def content(self, history: Ledger) -> bytes:
        """The bytes of a real ledger that holds."""
        return history.path.read_bytes()

    @pytest.fixture
    def holds(self, history: Ledger) -> Callable[[bytes], bool]:
        """Tell whether other bytes pass for the ledger."""
        head = history.head()

        def answer(content: bytes) -> bool:
            return not problems(content, head)

        return answer

    def test_nothing_changed_holds(self, content: bytes, holds: Callable[[bytes], bool]) -> None:
        """What the next tests change was right before."""
        assert holds(content)

    def test_every_bit_of_every_byte(self, content: bytes, holds: Callable[[bytes], bool]) -> None:
        """No bit can be flipped."""
        for position in range(len(content)):
            for bit in range(8):
                changed = bytearray(content)
                changed[position] ^= 1 << bit
                assert not holds(bytes(changed)), (position, bit)

    def test_every_byte_gone_doubled_or_swapped(self, content: bytes, holds: Callable[[bytes], bool]) -> None:
        """No byte can go, stand twice, or change places with the next one."""
        for position in range(len(content)):
            before, byte, after = content[:position], content[position : position + 1], content[position + 1 :]
            assert not holds(before + after), position
            assert not holds(before + byte + byte + after), position
            if after and after[:1] != byte:
                assert not holds(before + after[:1] + byte + after[1:]), position

    def test_every_length(self, content: bytes, holds: Callable[[bytes], bool]) -> None:
        """No end can be cut off, be it in a line or between two."""
        assert not any(holds(content[:length]) for length in range(len(content)))

    def test_every_line_gone_doubled_or_swapped(self, content: bytes, holds: Callable[[bytes], bool]) -> None:
        """No line can go, stand twice, or change places with any other."""
        lines = content.splitlines(keepends=True)
        for first in range(len(lines)):
            assert not holds(b"".join(lines[:first] + lines[first + 1 :]))
            assert not holds(b"".join(lines[: first + 1] + lines[first:]))
            for second in range(first + 1, len(lines)):
                swapped = list(lines)
                swapped[first], swapped[second] = swapped[second], swapped[first]
                assert not holds(b"".join(swapped)), (first, second)


def test_a_verdict_taken_back_and_taken_again_is_told_each_time(tmp_path: Path) -> None:
    """The newest decision counts: A, B and A again are three events, and A twice in a row is one."""
    ledger = Ledger(tmp_path / "audit/ledger.jsonl")
    for passed in (True, True, False, True, True):
        ledger.append("gated", {"model_name": "face", "version": 2, "store": "s", "passed": passed, "rules": []})
    assert [event.data["passed"] for event in ledger.events()] == [True, False, True]


def test_going_back_to_an_earlier_forget_list_is_told(tmp_path: Path) -> None:
    """A, then A and B, then A again, for B was withdrawn: the newest event says what the file holds."""
    ledger = Ledger(tmp_path / "audit/ledger.jsonl")
    for digest in ("a", "a", "ab", "a"):
        listed: dict[str, object] = {
            "request_ids": [],
            "forget_list_digest": digest,
            "forget_count": 1,
            "manifest_digest": "m",
            "trained_on_digest": "t",
        }
        ledger.append("resolved", listed)
    assert [event.data["forget_list_digest"] for event in ledger.events()] == ["a", "ab", "a"]


def test_a_registration_is_told_once_whatever_is_said_later(tmp_path: Path) -> None:
    """What the first telling recorded of the tags stays the reference."""
    ledger = Ledger(tmp_path / "audit/ledger.jsonl")
    told = {"store": "s", "model_name": "face", "version": 2, "run_id": "r", "weights_digest": "w"}
    told |= {"forget_list_digest": "f"}
    for commit in ("a", "b"):
        data = {**told, "request_ids": [], "provenance": {"dlfd.git_commit": commit}}
        event = ledger.append("registered", data)
        assert event.data["provenance"] == {"dlfd.git_commit": "a"}
    assert len(ledger.events()) == 1
