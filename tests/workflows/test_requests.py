"""Filing requests and deciding on them, in a real DVC repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from dvc.repo import Repo

import dlfd_ops
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import KEY_FILE, KEY_ID_FILE, load_key
from dlfd_ops.deletion.parent import PARENT_FILE, PARENT_MODEL, Parent, read_parent, write_parent
from dlfd_ops.deletion.requests import REQUESTS_FILE, read_requests
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import BadInput
from dlfd_ops.files import replaced_folder, write_bytes
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.workflows.request_import import import_requests
from dlfd_ops.workflows.requests import (
    Wish,
    acknowledge,
    add_requests,
    extend,
    list_requests,
    refuse,
    show_request,
    withdraw,
)
from tests.conftest import REPOSITORY

NAME = "Jane Doe"
WISH = Wish("gdpr", subject=NAME)
EMPTY = Path(dlfd_ops.__file__).with_name("py.typed")

KILLED_EVERYWHERE = """
import json, os, shutil, subprocess, sys
from pathlib import Path
import dvc.repo
from dlfd_ops.workflows.requests import Wish, add_requests, list_requests, withdraw
from tests.killing import KILLED, attempt

def nth(number):
    left = number
    def fatal(path):
        nonlocal left
        places = ("deletion/", "audit/", ".dvc/tmp/rwlock")
        left -= not path.endswith((".tmp", ".lock")) and any(place in path for place in places)
        return left == 0
    return fatal

start, found, step = Path.cwd(), [], 0
actions = {
    "ask": lambda: add_requests([Wish("gdpr", subject=sys.argv[1])]),
    "withdraw": lambda: withdraw(list_requests()[0].request_id),
}
action = actions[sys.argv[2]]
while True:
    step += 1
    folder = start.with_name(f"{start.name}-{step}")
    shutil.copytree(start, folder)
    os.chdir(folder)
    ended = attempt(action, nth(step))
    if ended != KILLED:
        break
    leak = subprocess.run(["grep", "-rl", sys.argv[1], "."], capture_output=True, text=True).stdout
    found.append([str(folder), leak, attempt(action, lambda path: False)])
print(json.dumps(found))
sys.exit(ended)
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh git and DVC repository as the working directory."""
    root = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    Repo.init(str(root)).close()
    monkeypatch.chdir(root)
    monkeypatch.delenv("DLFD_SECRET_KEY", raising=False)
    return root


def kinds() -> list[str]:
    """Return the kinds of the ledger's events."""
    return [event.kind for event in Ledger().events()]


def files(root: Path) -> dict[str, bytes]:
    """Return the content of every file that is not the tools' own."""
    found = [path for path in root.rglob("*") if path.is_file() and not {".git", ".dvc"} & set(path.parts)]
    return {str(path): path.read_bytes() for path in found}


def test_a_request_is_filed_everywhere(repository: Path) -> None:
    """Intake, pinned parent, ledger, published key id and DVC all hold it; the name is nowhere."""
    (filed,) = add_requests([WISH])
    (request,) = read_requests(REQUESTS_FILE)
    assert request == filed.request
    assert request.subject_key == load_key().subject_key(NAME)
    assert read_parent(PARENT_FILE).excluded == ()
    assert [event.data["request_id"] for event in Ledger().events()] == [request.request_id]
    assert KEY_ID_FILE.read_text().strip() == request.key_id
    assert KEY_FILE.stat().st_mode & 0o777 == 0o600
    with Repo() as repo:
        assert repo.status() == {}
    assert not any(NAME.encode() in content for content in files(repository).values())


def test_git_never_sees_the_secret_key(repository: Path) -> None:
    """Even where the repository's own ignore file does not name the private folder."""
    add_requests([WISH])
    subprocess.run(["git", "add", "--all"], check=True)
    staged = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout
    assert "audit/ledger.jsonl" in staged
    assert ".dlfd" not in staged


def test_asked_twice_is_one_request(repository: Path) -> None:
    """The second time changes no file, whatever its date, and returns the same request."""
    (first,) = add_requests([WISH])
    before = files(repository)
    (second,) = add_requests([Wish("ccpa", subject=NAME, received=datetime(2026, 1, 1))])
    assert (second.request, second.repeated) == (first.request, True)
    assert files(repository) == before


@pytest.mark.parametrize("spelling", [" José ", "Jose\N{COMBINING ACUTE ACCENT}"])
def test_another_spelling_of_a_name_is_the_same_request(repository: Path, spelling: str) -> None:
    """White space around it, or an accent that is a character of its own."""
    (first,) = add_requests([Wish("gdpr", subject="Jos\N{LATIN SMALL LETTER E WITH ACUTE}")])
    (second,) = add_requests([Wish("gdpr", subject=spelling)])
    assert (second.repeated, second.request) == (True, first.request)


def test_sample_files_are_named_by_their_keyed_content(repository: Path) -> None:
    """A batch is one request whose ids are those of the bytes, in no particular order, each once."""
    photos = [repository / name for name in ("Jane_1.png", "Jane_2.png", "copy.png")]
    for photo, content in zip(photos, (b"one", b"two", b"one"), strict=True):
        photo.write_bytes(content)
    (filed,) = add_requests([Wish("gdpr", sample_files=tuple(photos))])
    key = load_key()
    assert filed.request.sample_ids == tuple(sorted([key.sample_id(b"one"), key.sample_id(b"two")]))
    (again,) = add_requests([Wish("gdpr", sample_files=(photos[1], photos[2]))])
    assert again.repeated


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish("gdpr"), "neither"),
        (Wish("gdpr", subject=NAME, sample_files=(Path("a"),)), "both"),
        (Wish("gdpr", subject=" "), "1 characters"),
        (Wish("gdpr", subject="x" * 2000), "2000 characters"),
        (Wish("gdpr", sample_files=(Path("Jane Doe.png"),)), "sample file 1 of the request must be a file"),
        (Wish("gdpr", sample_files=(EMPTY,)), "an empty file"),
        (Wish("none", subject=NAME), "the legal basis must be one of"),
        (Wish("manual", subject=NAME), "no due date"),
        (Wish("gdpr", subject=NAME, received=datetime(2999, 1, 1)), "2999-01-01"),
        (Wish("gdpr", subject=NAME, received=datetime.max), "9999-12-31"),
        (Wish("gdpr", subject=NAME, received=datetime.min.replace(tzinfo=UTC)), "0001-01-01"),
    ],
)
def test_a_wish_that_breaks_a_rule_writes_nothing(repository: Path, wish: Wish, said: str) -> None:
    """One bad wish among good ones: bad input without a name in it, and no file is made, not even a key."""
    with pytest.raises(BadInput, match=said) as caught:
        add_requests([WISH, wish])
    assert "Jane" not in str(caught.value)
    assert not KEY_FILE.exists()
    assert not Path("deletion").exists()
    assert not Path("audit").exists()


def test_a_local_time_is_stored_as_utc(repository: Path) -> None:
    """Late in the evening west of Greenwich is the next day in UTC; a date alone is midnight UTC."""
    evening = datetime.fromisoformat("2026-01-31T23:00:00.5-08:00")
    first, second = add_requests(
        [Wish("gdpr", subject="a", received=evening), Wish("gdpr", subject="b", received=datetime(2026, 1, 31))]
    )
    assert first.request.received_at == datetime(2026, 2, 1, 7, tzinfo=UTC)
    assert first.request.due_at == date(2026, 3, 1)
    assert second.request.due_at == date(2026, 2, 28)


def test_outside_a_dvc_repository_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command refuses before it writes, and a list from the wrong folder is no empty list."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="DVC repository"):
        add_requests([WISH])
    with pytest.raises(BadInput, match="DVC repository"):
        list_requests()
    assert list(tmp_path.iterdir()) == []


def test_another_or_a_lost_key_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published key id guards the intake: another key names both ids, a lost one is not silently replaced."""
    add_requests([WISH])
    old = load_key().key_id
    monkeypatch.setenv("DLFD_SECRET_KEY", "11" * 32)
    with pytest.raises(BadInput, match=f"{old} there, {load_key().key_id} here"):
        add_requests([WISH])
    monkeypatch.delenv("DLFD_SECRET_KEY")
    KEY_FILE.unlink()
    with pytest.raises(BadInput, match="secret key must be there"):
        add_requests([WISH])
    assert not KEY_FILE.exists()


@pytest.mark.parametrize("lost", [REQUESTS_FILE, PARENT_FILE])
def test_an_intake_that_is_not_checked_out_is_not_replaced(repository: Path, lost: Path) -> None:
    """A clone without `dvc checkout` must not start a second intake over the first."""
    add_requests([WISH])
    lost.unlink()
    with pytest.raises(BadInput, match="dvc checkout"):
        add_requests([Wish("gdpr", subject="other")])


def test_an_older_intake_is_refused(repository: Path) -> None:
    """An intake that lacks a request of the ledger is not written to; the request is still listed."""
    add_requests([WISH])
    older = REQUESTS_FILE.read_bytes()
    (filed,) = add_requests([Wish("gdpr", subject="other")])
    REQUESTS_FILE.unlink()
    REQUESTS_FILE.write_bytes(older)
    with pytest.raises(BadInput, match=f"1 missing, {filed.request.request_id} among them"):
        add_requests([Wish("gdpr", subject="third")])
    assert len(list_requests()) == 2


def test_a_hostile_ledger_gets_one_short_line(repository: Path) -> None:
    """An id of another length, with control characters in it, is cut and printable."""
    add_requests([WISH])
    data = next(event.data for event in Ledger().events() if event.kind == "received")
    Ledger().append("received", data | {"request_id": "\x1b[2J\n" + "a" * 10_000})
    with pytest.raises(BadInput, match="1 missing") as raised:
        add_requests([Wish("gdpr", subject="third")])
    assert len(str(raised.value)) < 300
    assert str(raised.value).isprintable()


def test_decisions_are_recorded_once(repository: Path) -> None:
    """Acknowledging and extending twice are one event each, and the due date moves to the legal limit."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    (filed,) = add_requests([Wish("ccpa", subject=NAME, received=yesterday)])
    name = filed.request.request_id
    for _ in range(2):
        acknowledge(name)
        extended = extend(name, "complexity")
    assert kinds() == ["received", "acknowledged", "extended"]
    assert extended.due_at == (yesterday + timedelta(days=90)).date()
    assert read_parent(PARENT_FILE).excluded == ()


def test_an_extension_that_comes_too_late_is_refused(repository: Path) -> None:
    """After the first period there is nothing to extend any more, also where it was extended before."""
    (filed,) = add_requests([Wish("gdpr", subject=NAME, received=datetime.now(UTC) - timedelta(days=40))])
    name = filed.request.request_id
    with pytest.raises(BadInput, match="within the first period"):
        extend(name, "complexity")
    later = {"request_id": name, "due_at": f"{date.today() + timedelta(days=5)}", "reason": "complexity"}
    Ledger().append("extended", later)
    with pytest.raises(BadInput, match="within the first period"):
        extend(name, "complexity", date.today() + timedelta(days=6))


def test_a_date_set_by_the_team_may_be_moved_until_it_is_reached(repository: Path) -> None:
    """No law ends the first period of a manual request."""
    (filed,) = add_requests([Wish("manual", subject=NAME, due=date.today() + timedelta(days=2))])
    for days in (4, 6):
        due = date.today() + timedelta(days=days)
        assert extend(filed.request.request_id, "complexity", due).due_at == due


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": [1]},
        {"request_id": 7},
        {"due_at": "x"},
        {"legal_basis": 7},
        {"due_at": None},
    ],
    ids=str,
)
def test_an_event_without_the_facts_of_its_kind_is_one_line(change: dict[str, object], repository: Path) -> None:
    """A whole chain whose events lack a fact stops every command, with the line named."""
    (filed,) = add_requests([WISH])
    data = next(event.data for event in Ledger().events() if event.kind == "received")
    Ledger().append("received", data | change)
    commands = (list_requests, lambda: show_request(filed.request.request_id), lambda: add_requests([WISH]))
    for command in commands:
        with pytest.raises(BadInput) as raised:
            command()
        assert "ledger event 2 ('received') must state" in str(raised.value)


def test_the_second_of_receipt_is_whole_whatever_the_offset(repository: Path) -> None:
    """An offset may hold a part of a second itself."""
    odd = timezone(timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999))
    (filed,) = add_requests([Wish("gdpr", subject=NAME, received=datetime(2026, 1, 31, 12, tzinfo=odd))])
    assert filed.request.received_at == datetime(2026, 1, 30, 12, tzinfo=UTC)


def test_a_name_in_the_place_of_an_id_is_not_repeated(repository: Path) -> None:
    """What is printed lands in logs."""
    add_requests([WISH])
    with pytest.raises(BadInput, match="no request id") as raised:
        withdraw(NAME)
    assert NAME not in str(raised.value)


@pytest.mark.parametrize("close", [withdraw, lambda name: refuse(name, "identity_not_verified")])
def test_a_closed_request_is_excluded_and_may_be_asked_anew(repository: Path, close: Callable[[str], object]) -> None:
    """The pinned parent leaves it out, the intake keeps it, decisions end, and asking again is a new request."""
    (first,) = add_requests([WISH])
    close(first.request.request_id)
    close(first.request.request_id)
    assert read_parent(PARENT_FILE).excluded == (first.request.request_id,)
    assert read_requests(REQUESTS_FILE) == [first.request]
    with pytest.raises(BadInput, match="while a request is open"):
        acknowledge(first.request.request_id)
    (second,) = add_requests([WISH])
    assert (second.repeated, second.request.subject_key) == (False, first.request.subject_key)
    assert read_parent(PARENT_FILE).excluded == (first.request.request_id,)
    assert [status.open for status in list_requests()] == [False, True]
    with Repo() as repo:
        assert repo.status() == {}


def test_weights_that_are_not_the_pinned_ones_are_not_tracked(repository: Path) -> None:
    """After a kill within the pin no other command makes a pair of the two, and `dvc checkout` undoes the pin."""
    (filed,) = add_requests([WISH])
    name = filed.request.request_id
    pinned = Parent(
        kind="version",
        version=2,
        weights_digest=sha256_bytes(b"two"),
        unlearnings=1,
        covers=(name,),
    )
    write_parent(PARENT_FILE, pinned)
    _bring(b"two")
    acknowledge(name)
    _bring(b"three")
    before = files(repository)
    with pytest.raises(BadInput, match="must start from the pinned parent") as caught:
        extend(name, "complexity")
    assert files(repository) == before
    assert "request add" in str(caught.value)
    subprocess.run(
        [sys.executable, "-m", "dvc", "checkout", "-q", "--force", str(PARENT_MODEL), str(PARENT_FILE)], check=True
    )
    extend(name, "complexity")
    assert (PARENT_MODEL / WEIGHTS).read_bytes() == b"two"
    assert read_parent(PARENT_FILE) == pinned


def test_weights_without_a_pin_give_way_to_the_note(repository: Path) -> None:
    """A first pin that was killed half-way leaves weights where the original is still the parent: none are tracked."""
    (filed,) = add_requests([WISH])
    before = files(repository)
    _bring(b"two")
    acknowledge(filed.request.request_id)
    changed = {path for path, content in files(repository).items() if before.get(path) != content}
    assert changed == {str(repository / "audit/ledger.jsonl")}
    assert before.keys() == files(repository).keys()


def test_a_parent_that_a_killed_pin_moved_away_is_put_back(repository: Path) -> None:
    """Between two renames there is none: the newest that was moved aside comes back, and the command goes on."""
    (filed,) = add_requests([WISH])
    before = files(repository)
    for age, content in (("older", b"of long ago"), ("newer", None)):
        aside = PARENT_MODEL.with_name(f".parent.{age}.tmp")
        aside.mkdir()
        if content is None:
            PARENT_MODEL.rename(aside / "old")
        else:
            write_bytes(aside / "old" / WEIGHTS, content)
    acknowledge(filed.request.request_id)
    assert PARENT_MODEL.is_dir()
    assert not (PARENT_MODEL / WEIGHTS).exists()
    assert before.items() - files(repository).items() == {
        (str(repository / "audit/ledger.jsonl"), before[str(repository / "audit/ledger.jsonl")])
    }


def _bring(weights: bytes) -> None:
    with replaced_folder(PARENT_MODEL) as new:
        (new / WEIGHTS).write_bytes(weights)


def test_a_refusal_keeps_its_reason(repository: Path) -> None:
    """Another reason afterwards, or one that is no code, is bad input; the words never reach a message."""
    (filed,) = add_requests([WISH])
    refuse(filed.request.request_id, "excessive")
    with pytest.raises(BadInput, match="which is refused"):
        refuse(filed.request.request_id, "other")
    with pytest.raises(BadInput, match="received another one"):
        refuse(filed.request.request_id, "Jane asked too often")


def test_an_unknown_request_is_named(repository: Path) -> None:
    """Looking at or deciding on an id that nobody filed is bad input."""
    for act in (show_request, acknowledge, withdraw):
        with pytest.raises(BadInput, match="req-000000000000"):
            act("req-000000000000")


def test_an_import_files_every_row(repository: Path) -> None:
    """Subjects and photos, a repeated row, a byte order mark, and an empty due date."""
    Path("photo.png").write_bytes(b"one")
    Path("people.csv").write_text(
        "\ufeffsubject_id,sample_file,legal_basis,received_at,due_at\n"
        f"{NAME},,gdpr,2026-01-31,\n"
        ",photo.png,ccpa,2026-01-31T12:00:00+01:00,\n"
        f"{NAME},,gdpr,2026-02-01,\n"
        '"Doe, John",,manual,2026-01-31,2026-12-31\n'
    )
    filed = import_requests(Path("people.csv"))
    assert [one.repeated for one in filed] == [False, False, True, False]
    assert [str(status.due_at) for status in list_requests()] == ["2026-02-28", "2026-03-17", "2026-12-31"]
    assert kinds() == ["received"] * 3
    assert all(one.repeated for one in import_requests(Path("people.csv")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("subject_id,legal_basis,received_at\nok,gdpr,2026-01-31\nJane Doe,Jane,2026-01-31\n", "line 3 .* legal basis"),
        ("subject_id,legal_basis,received_at\nok,gdpr,2026-01-31\nJane Doe,gdpr,Jane\n", "line 3 .* dates"),
        ("subject_id,legal_basis,received_at\nJane Doe,gdpr\n", "line 2 .* one field for each column"),
        ("subject_id,legal_basis,received_at\nJane Doe,gdpr,2026-01-31,x\n", "line 2 .* one field for each column"),
        ("subject_id,legal_basis,received_at\nok,gdpr,2026-01-31\n,gdpr,2026-01-31\n", "line 3 .* neither"),
        ("subject_id,legal_basis,received_at\nJane Doe,manual,2026-01-31\n", "line 2: a manual request"),
        ("subject_id,legal_basis,received_at\nJane Doe,gdpr,2999-01-31\n", "line 2 must have been received by now"),
        ("sample_file,legal_basis,received_at\nJane Doe.png,gdpr,2026-01-31\n", "sample file 1 of line 2"),
        ("subject_id,legal_basis,received_at\n", "at least one row"),
        ("Jane Doe,gdpr,2026-01-31\n", "the first line"),
        ("subject_id,subject_id,legal_basis,received_at\n", "the first line"),
        ('subject_id,legal_basis,received_at\n"Jane Doe\n', "UTF-8 CSV"),
        ("", "the first line"),
    ],
)
def test_a_bad_row_is_named_by_line_and_nothing_is_filed(repository: Path, text: str, said: str) -> None:
    """All or nothing: the message has the line and the rule, never the content, and no file is made."""
    Path("people.csv").write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        import_requests(Path("people.csv"))
    assert "Jane" not in str(caught.value)
    assert not Path("deletion").exists()
    assert not KEY_FILE.exists()


def test_concurrent_commands_lose_nothing(repository: Path) -> None:
    """Three processes that file at once, on a fresh repository, leave three requests under one key."""
    code = "import sys; from dlfd_ops.workflows.requests import *; add_requests([Wish('gdpr', subject=sys.argv[1])])"
    writers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [writer.wait(timeout=180) for writer in writers] == [0, 0, 0]
    assert {request.subject_key for request in read_requests(REQUESTS_FILE)} == {
        load_key().subject_key(name) for name in "abc"
    }
    assert kinds() == ["received"] * 3
    assert Ledger().verify() == []


@pytest.mark.slow
@pytest.mark.parametrize("action", ["ask", "withdraw"])
def test_a_killed_command_is_completed_by_running_it_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Killed at any of its writes in turn: the name never leaks, and the second run leaves one whole request."""
    withdrawing = action == "withdraw"
    if withdrawing:
        add_requests([WISH])
    command = [sys.executable, "-c", KILLED_EVERYWHERE, NAME, action]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    runs = json.loads(done.stdout)
    assert len(runs) >= 8
    for folder, leak, exit_status in runs:
        monkeypatch.chdir(folder)
        assert (leak, exit_status) == ("", 0), folder
        assert kinds() == (["received", "withdrawn"] if withdrawing else ["received"])
        assert Ledger().verify() == []
        (request,) = read_requests(REQUESTS_FILE)
        assert read_parent(PARENT_FILE).excluded == ((request.request_id,) if withdrawing else ())
        assert KEY_ID_FILE.read_text().strip() == load_key().key_id == request.key_id
        with Repo() as repo:
            assert repo.status() == {}
