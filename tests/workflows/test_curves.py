"""The curve of an interrupted run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlfd_ops.workflows.curves import CurveRecorder


def test_an_interrupted_curve_is_complete(tmp_path: Path) -> None:
    """Rows survive the interruption, a step that runs again counts once, and a torn last line is dropped."""
    journal = tmp_path / "private/curve.jsonl"
    first = CurveRecorder(journal, "key")
    first.on_step(1, {"loss": 3.0})
    first.on_step(2, {"loss": 2.0})
    with journal.open("a") as stream:
        stream.write('{"key": "key", "st')
    second = CurveRecorder(journal, "key")
    second.on_step(2, {"loss": 1.5, "score": 0.25})
    second.write(tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text() == "step,loss,score\n1,3,\n2,1.5,0.25\n"


def test_rows_of_other_inputs_are_dropped(tmp_path: Path) -> None:
    """A curve of another run does not leak into this one."""
    journal = tmp_path / "curve.jsonl"
    CurveRecorder(journal, "old").on_step(1, {"loss": 9.0})
    recorder = CurveRecorder(journal, "new")
    recorder.on_step(1, {"loss": 1.0})
    recorder.write(tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text() == "step,loss\n1,1\n"


@pytest.mark.parametrize("line", ["", "{", "[1]", "1", "null", '{"step": 1}', '{"key": "key", "step": 1}'])
def test_a_damaged_line_is_dropped(line: str, tmp_path: Path) -> None:
    """A line that is no row costs that row, whatever JSON it is."""
    journal = tmp_path / "curve.jsonl"
    journal.write_text(f"{line}\n")
    recorder = CurveRecorder(journal, "key")
    recorder.on_step(2, {"loss": 1.0})
    recorder.write(tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text() == "step,loss\n2,1\n"
