"""The command line: output, exit status, and one line for each error."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo

import dlfd_ops
from dlfd_ops.audit.keyring import Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.cli import main
from dlfd_ops.data.identity import load_key
from dlfd_ops.deletion.erasure import Plan

FILED = ["request", "add", "--subject", "Jane Doe", "--received", "2026-01-31"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh git and DVC repository as the working directory."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    Repo.init(str(tmp_path)).close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLFD_SECRET_KEY", raising=False)
    return tmp_path


def run(*arguments: str, given: str | None = None) -> Result:
    """Run a command line; an exception that is no exit is a failure of the test."""
    result = CliRunner().invoke(main, list(arguments), input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_version_is_that_of_the_package() -> None:
    """``--version`` answers in a process of its own, without loading torch, DVC or MLflow."""
    code = (
        "import sys\nfrom dlfd_ops.cli import main\n"
        "try:\n    main(['--version'], prog_name='dlfd-ops')\n"
        "finally:\n    print(sorted({'torch', 'dvc', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"dlfd-ops, version {dlfd_ops.__version__}\n[]\n"


def test_a_request_is_filed_and_listed(repository: Path) -> None:
    """Text and JSON agree on the id, the due date and the days left as of a day."""
    added = json.loads(run(*FILED, "--json").stdout)
    assert (added["status"], added["due_at"], added["repeated"]) == ("received", "2026-02-28", False)
    assert json.loads(run(*FILED, "--json").stdout)["repeated"] is True
    listed = json.loads(run("request", "list", "--as-of", "2026-02-20", "--json").stdout)
    assert listed["as_of"] == "2026-02-20"
    assert [(one["request_id"], one["days_left"], one["late"]) for one in listed["requests"]] == [
        (added["request_id"], 8, False)
    ]
    table = run("request", "list", "--as-of", "2026-03-02").stdout
    assert [word in table for word in (added["request_id"], "gdpr", "2026-02-28", "-2", "late", "1 received")] == [
        True
    ] * 6


def test_a_basis_that_is_not_known_here_is_one_line(repository: Path) -> None:
    """A ledger may name a law that this version does not know."""
    run(*FILED)
    data = next(event.data for event in Ledger().events() if event.kind == "received")
    Ledger().append("received", data | {"request_id": "req-00000000000a", "legal_basis": "zz"})
    shown = run("request", "show", "req-00000000000a")
    assert (shown.exit_code, "legal basis must be one of" in shown.stderr) == (2, True)


def test_the_subject_may_come_from_standard_input(repository: Path) -> None:
    """It is the same request as with the id on the command line; several lines or none are refused."""
    run(*FILED)
    piped = ["request", "add", "--subject", "-", "--json"]
    assert json.loads(run(*piped, given="Jane Doe\n").stdout)["repeated"] is True
    for wrong in ("", "Jane\nDoe\n"):
        assert run(*piped, given=wrong).exit_code == 2


def test_a_request_can_be_followed_to_its_end(repository: Path) -> None:
    """Every decision has its command, and ``show`` tells the history."""
    name = json.loads(run("request", "add", "--subject", "Jane Doe", "--json").stdout)["request_id"]
    assert json.loads(run("request", "acknowledge", name, "--json").stdout)["status"] == "acknowledged"
    assert json.loads(run("request", "extend", name, "--reason", "complexity", "--json").stdout)["status"] == "extended"
    assert "withdrawn" in run("request", "withdraw", name).stdout
    shown = json.loads(run("request", "show", name, "--json").stdout)
    assert [event["kind"] for event in shown["history"]] == ["received", "acknowledged", "extended", "withdrawn"]
    assert shown["days_left"] is None
    refused = run("request", "refuse", name, "--reason", "other")
    assert (refused.exit_code, "which is withdrawn" in refused.stderr) == (2, True)
    assert "withdrawn" in run("request", "show", name).stdout


def test_an_import_reports_what_it_did(repository: Path) -> None:
    """Counts as text, ids as JSON."""
    Path("people.csv").write_text("subject_id,legal_basis,received_at\na,gdpr,2026-01-31\nb,gdpr,2026-01-31\n")
    assert run("request", "import", "people.csv").stdout == "2 requests filed, 0 had been filed before\n"
    rows = json.loads(run("request", "import", "people.csv", "--json").stdout)["requests"]
    assert [row["repeated"] for row in rows] == [True, True]


def test_the_key_is_shown_by_its_id_only(repository: Path) -> None:
    """The id and the source are printed, the secret never is; another key than the published one fails."""
    assert run("key", "show").exit_code == 2
    run(*FILED)
    shown = run("key", "show", "--json")
    signing: dict[str, object] = {"key_id": None, "source": ".dlfd/signing_key.pem", "public_keys": []}
    secret = {"key_id": load_key().key_id, "source": ".dlfd/key", "published": True}
    assert json.loads(shown.stdout) == secret | {"signing": signing}
    assert load_key().content.hex() not in shown.output + run("key", "show").output
    Path("deletion/key_id.txt").write_text("0" * 16)
    assert run("key", "show").exit_code == 2


def test_a_key_may_be_made_before_anybody_asks(repository: Path) -> None:
    """Data can be prepared then; asked again, and by the first request, it is the same one."""
    made = json.loads(run("key", "create", "--json").stdout)["key_id"]
    assert (repository / "deletion/key_id.txt").read_text().strip() == made
    assert made in run("key", "create").stdout
    assert json.loads(run("key", "show", "--json").stdout)["key_id"] == made


def test_only_the_signing_key_is_rotated(repository: Path) -> None:
    """Before the first signature there is nothing to replace; after it the pseudonyms stay what they were."""
    assert run("key", "rotate").exit_code == 2
    run(*FILED)
    first = Keyring(Path(), Ledger()).signing_key().public.key_id
    rotated = json.loads(run("key", "rotate", "--json").stdout)
    assert rotated["replaces"] == first != rotated["key_id"]
    shown = json.loads(run("key", "show", "--json").stdout)
    assert shown["key_id"] == load_key().key_id
    assert shown["signing"]["key_id"] == rotated["key_id"]
    assert shown["signing"]["public_keys"] == sorted([first, rotated["key_id"]])
    assert "replaces" in run("key", "rotate").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nothing"],
        ["request", "nothing"],
        ["request", "add"],
        ["request", "add", "--subject"],
        ["request", "add", "Jane", "Doe"],
        ["request", "add", "--subject", "Jane", "Doe"],
        ["request", "add", "--subject", "Jane Doe", "--received", "Jane"],
        ["request", "add", "--subject", "Jane Doe", "--legal-basis", "none"],
        ["request", "add", "--sample-file", "Jane Doe.png"],
        ["request", "import", "Jane Doe.csv"],
        ["request", "show", "req-0"],
        ["audit", "certificate", "--request", "Jane Doe"],
        ["audit", "verify", "--certificate", "Jane Doe"],
        ["audit", "verify", "--certificate", "a", "--key", "b"],
        ["audit", "verify", "--certificate", "a", "--key", "b", "--expected-head", "c"],
    ],
    ids=" ".join,
)
def test_an_error_is_one_line_without_a_name(repository: Path, arguments: list[str]) -> None:
    """Status 2, nothing on standard output, one line on standard error, and no identity in it."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Jane" not in line
    assert "Doe" not in line


def test_a_folder_that_cannot_be_written_is_one_line(repository: Path) -> None:
    """A file where a folder should be is told in one line, not with a traceback."""
    Path("audit").write_text("in the way")
    result = run(*FILED)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_a_reviewed_plan_is_believed_as_it_reads(repository: Path) -> None:
    """What was read through must be what the digest in the file is of; erasing makes no key where there is none."""
    shutil.copy(Path(__file__).parents[1] / "params.yaml", repository)
    item = {"object": "a" * 64, "kind": "photo", "store": "raw data", "outcome": "remove", "ground": ""}
    around = {"key_id": "0" * 16, "request_ids": [], "unreadable_revisions": [], "not_reached": []}
    plan = Plan.model_validate_json(json.dumps({**around, "items": [item]}))
    document = {**plan.model_dump(mode="json"), "plan_digest": plan.digest()}
    for written, said in (
        (document, "secret key"),
        (document | {"items": []}, "must be the plan that its digest is of"),
    ):
        Path("plan.json").write_text(json.dumps(written))
        done = run("erase", "run", "--yes", "--plan", "plan.json")
        assert (done.exit_code, said in done.stderr) == (2, True)
    assert not (repository / ".dlfd/key").exists()
