"""What the audit answers: the report, and questions on the terminal."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.report import Report
from dlfd_ops.cli.audit import audit
from dlfd_ops.cli.output import OneLineErrors
from dlfd_ops.data.identity import load_key
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount, write_forget_list
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.models.checkpoint import weights_digest
from dlfd_ops.workflows.audit import report
from tests.workflows.audited import (
    NAME,
    PARAMS,
    client,
    edit_ledger,
    edit_receipt,
    evaluated,
    garble_ledger,
    only_request,
    registered,
    replace_file,
    repository,
)

__all__ = ["evaluated", "registered", "repository"]


def test_the_report_shows_the_registered_version(repository: Path) -> None:
    """Page and document are written from the same report, and nothing differs."""
    (repository / "data/raw.dvc").write_text(f"outs:\n- md5: {'a' * 32}.dir\n  path: raw\n")
    written = report(PARAMS, repository, as_of=date(2026, 11, 20))
    document = Report.model_validate_json((repository / "audit/report.json").read_text())
    assert document == written
    states = {row.part: row.state for row in written.summary.agreement}
    agree = dict.fromkeys(("chain", "files", "certificates"), "agrees")
    assert states == agree | {"stores": "not checked", "registry": "not checked"}
    assert [node.version for node in written.lineage] == [1, 2]
    assert written.data.raw_digest == f"{'a' * 32}.dir"
    assert written.losses is not None
    assert written.requests[0].samples == 1
    page = (repository / "audit/report.html").read_text()
    assert written.summary.ledger.head in page
    assert weights_digest(repository / "models/unlearned") in page


def test_the_stage_is_reproducible_and_appends_nothing(repository: Path) -> None:
    """By the last event's date, twice the same bytes, and the ledger untouched."""
    ledger = Ledger(repository / "audit/ledger.jsonl")
    before, last = ledger.path.read_bytes(), ledger.events()[-1]
    pages = set()
    for _ in range(2):
        assert report(PARAMS, repository).as_of == date.fromisoformat(last.at[:10])
        pages.add((repository / "audit/report.html").read_bytes())
    assert len(pages) == 1
    assert ledger.path.read_bytes() == before


def test_the_report_of_a_tampered_repository_says_so(repository: Path) -> None:
    """A broken chain and a replaced weight file do not stop the report: they stand in it."""
    edit_ledger(repository)
    replace_file("models/unlearned/weights.safetensors", b"x")(repository)
    written = report(PARAMS, repository)
    assert written.summary.state("chain") == written.summary.state("files") == "differs"
    (files,) = [row for row in written.summary.agreement if row.part == "files"]
    assert any(line.startswith("models/unlearned") for line in files.findings)


@pytest.mark.parametrize("rows", ["model,set\n", "model,set,loss\noriginal,test,nan\n", "model,set,loss\noriginal\n"])
def test_damaged_losses_are_bad_input(repository: Path, rows: str) -> None:
    """A figure is never drawn from half a file: the line is named."""
    (repository / "plots/losses.csv").write_text(rows)
    with pytest.raises(BadInput, match=r"losses\.csv line [12] must"):
        report(PARAMS, repository)


def test_a_report_needs_a_readable_ledger(repository: Path) -> None:
    """A line that is no event stops the report."""
    garble_ledger(repository)
    with pytest.raises(CheckFailed, match="line 1"):
        report(PARAMS, repository)


def test_the_commands_answer_with_the_contract_s_status(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and JSON where all agrees, 1 and a line for each difference, 2 and one line without a ledger."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    assert run("verify").exit_code == 0
    answer = json.loads(run("verify", "--json").stdout)
    assert answer["holds"] is True
    assert answer["findings"] == []
    made = run("report", "--as-of", "2026-11-20", "--json")
    assert (made.exit_code, json.loads(made.stdout)["as_of"]) == (0, "2026-11-20")
    assert "audit/report.html" in run("report").stdout
    edit_receipt(repository)
    changed = run("verify")
    assert changed.exit_code == 1
    assert "differs      registry/version.json run_id: expected" in changed.stdout
    assert json.loads(run("verify", "--json").stdout)["findings"][0]["found"] == "another"
    (repository / "audit/ledger.jsonl").unlink()
    missing = run("verify")
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)


def test_an_auditor_gets_answers(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """About a request, a version, and everything; MLflow says where the versions are."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    client(repository).set_registered_model_alias(NAME, "champion", "2")
    (request_id,) = [row["request_id"] for row in json.loads(run("show", "--json").stdout)["requests"]]
    found = json.loads(run("show", "--request", request_id, "--json").stdout)
    assert [(ref["version"], ref["place"]) for ref in found["knew"]] == [(1, "archived")]
    assert [(ref["version"], ref["place"]) for ref in found["forgot"]] == [(2, "serving")]
    version = json.loads(run("show", "--version", "2", "--json").stdout)
    assert version["forgotten"] == [request_id]
    assert [node["version"] for node in version["lineage"]] == [2, 1]
    client(repository).delete_model_version(NAME, "1")
    shown = run("show", "--request", request_id).stdout
    assert "knew them     version 1 (deleted)" in shown
    assert "not known to  version 2 (serving)" in shown
    assert "version 2      serving" in run("show", "--version", "2").stdout
    overall = run("show")
    assert (overall.exit_code, "registry      differs" in overall.stdout) == (0, True)


def test_an_image_in_hand_is_recognised(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the keyed hash of its bytes, whatever it is called; other bytes are unknown; the file is never decoded."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    monkeypatch.setenv("DLFD_SECRET_KEY", "ab" * 32)
    key = load_key()
    (repository / "deletion/key_id.txt").write_text(f"{key.key_id}\n")
    Path("face.png").write_bytes(b"no image at all")
    assert json.loads(run("show", "--image", "face.png", "--json").stdout)["verdict"] == "unknown"
    row = ForgetRow(key.sample_id(b"no image at all"), (only_request(repository),))
    write_forget_list(Path("deletion/forget_list.parquet"), ForgetList((row,), {row.request_ids[0]: SampleCount(1, 0)}))
    answer = json.loads(run("show", "--image", "face.png", "--json").stdout)
    assert (answer["verdict"], [ref["version"] for ref in answer["forgot"]]) == ("forgotten", [2])
    assert "forgotten: a fulfilled request covers it" in run("show", "--image", "face.png").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--request", "Jane Doe"],
        ["--request", "req-ffffffffffff"],
        ["--version", "7"],
        ["--version", "0"],
        ["--image", "missing.png"],
        ["--image", "params.yaml"],
        ["--version", "2", "--request", "req-ffffffffffff"],
    ],
    ids=" ".join,
)
def test_a_question_without_an_answer_is_one_line(
    repository: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """What nobody filed or registered, a missing file, a missing key: status 2, and no identity."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    result = run("show", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "Jane" not in result.stderr


def test_a_report_without_the_registry_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer stops neither report nor answers: it is not checked, with the reason."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    written = report(PARAMS, repository, ask_registry=True)
    (registry,) = [row for row in written.summary.agreement if row.part == "registry"]
    assert registry.state == "not checked"
    assert "must answer" in registry.not_checked[0]


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(OneLineErrors(commands={"audit": audit}), ["audit", *arguments])
