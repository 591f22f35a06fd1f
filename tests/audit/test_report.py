"""The compliance report: what it says, that it stands alone, and that nothing in it is markup from outside."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dlfd_ops.audit.chain import GENESIS
from dlfd_ops.audit.composing import Material, compose
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.figures import Losses, draw, loss_figure
from dlfd_ops.audit.findings import Finding, Verification
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.numbers import number_rows
from dlfd_ops.audit.rendering import between, render
from dlfd_ops.audit.report import FORMAT, Report
from dlfd_ops.audit.timeline import printable, timeline
from dlfd_ops.errors import BadInput

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e"
LOSSES: Losses = {
    "original": {"forget": [0.01, 0.02, 0.5], "test": [0.5, 1.0, 4.0]},
    "unlearned": {"forget": [0.4, 1.2, 3.0], "test": [0.6, 1.1, 3.9]},
}
CHAIN_BROKEN = Verification(findings=(Finding("audit/ledger.jsonl line 3 (it must hold)", "aa", "bb"),))
METRICS = {
    "original": {"accuracy": 0.47, "mia_auc": 0.75, "overshoot": 0.0},
    "unlearned": {"accuracy": 0.45, "mia_auc": 0.53, "overshoot": 0.0, "house_metric": 1.5},
    "seconds": {"train": 400.0, "unlearn": 40.0},
}


@pytest.fixture
def material(history: Ledger, receipt: Receipt) -> Material:
    """Everything that a report is made of."""
    return Material(
        dataset="synthetic",
        raw_path="data/raw",
        raw_digest="0" * 32 + ".dir",
        events=history.events(),
        parts={"chain": Verification(checked=("audit/ledger.jsonl",)), "files": Verification(checked=("metrics",))},
        receipt=receipt,
        samples={"req-00000000000a": 12},
        metrics=METRICS,
        losses=LOSSES,
    )


@pytest.fixture
def report(material: Material) -> Report:
    """The report of a fulfilled history."""
    return compose(material, as_of=date(2026, 11, 20), due_soon_days=7)


def test_the_report_says_what_the_ledger_says(report: Report, history: Ledger) -> None:
    """Requests, lists, versions, gate and timeline come from the events."""
    assert report.format == FORMAT
    assert (report.summary.open, report.summary.overdue, report.summary.fulfilled) == (0, 0, 2)
    assert report.summary.ledger.head == history.head()
    assert report.summary.state("chain") == "agrees"
    assert [row.samples for row in report.requests] == [12, None]
    assert {row.version for row in report.requests} == {"face version 2"}
    original, unlearned = report.lineage
    assert (original.version, original.weights_digest) == (1, "a" * 64)
    assert (unlearned.version, unlearned.weights_digest, unlearned.gate) == (2, "b" * 64, True)
    assert (unlearned.forget_list_digest, unlearned.samples) == ("c" * 64, 24)
    assert unlearned.parent_weights_digest == original.weights_digest
    assert report.gate is not None
    assert report.gate.passed
    assert len(report.timeline) == len(history.events())


@pytest.mark.parametrize(
    ("as_of", "left", "late", "soon"),
    [
        ("2026-10-20", 16, False, False),
        ("2026-10-29", 7, False, True),
        ("2026-11-05", 0, False, True),
        ("2026-11-06", -1, True, False),
    ],
)
def test_deadlines_count_from_the_date_of_the_report(
    history: Ledger, as_of: str, left: int, late: bool, soon: bool
) -> None:
    """An open request has days left, is due soon, or is overdue, by the report's date alone."""
    received = Material("synthetic", "data/raw", None, history.events()[:2])
    row = compose(received, as_of=date.fromisoformat(as_of), due_soon_days=7).requests[0]
    assert (row.days_left, row.late, row.due_soon) == (left, late, soon)


def test_where_the_original_is_gone_the_parent_stands_for_before(material: Material) -> None:
    """Its recorded numbers stay; the attack and the losses before are those of the model that was changed."""
    metrics = {**METRICS, "original": {"accuracy": 0.47}, "parent": {"accuracy": 0.46, "mia_auc": 0.71}}
    losses = {"parent": LOSSES["original"], "unlearned": LOSSES["unlearned"]}
    after = replace(material, metrics=metrics, losses=losses)
    page = BeautifulSoup(render(compose(after, as_of=date(2026, 11, 20), due_soon_days=7)), "html.parser")
    numbers = page.find(id="numbers")
    assert numbers is not None
    assert "0.710 to 0.530" in " ".join(numbers.get_text(" ").split())
    assert "Parent" in {head.get_text() for head in numbers.find_all("th")}
    assert "Parent: the version before" in page.get_text()


def test_every_metric_is_shown_explained_or_not(report: Report) -> None:
    """A metric without an explanation stands under its own name instead of vanishing."""
    assert [row.metric for row in report.numbers] == ["accuracy", "mia_auc", "overshoot", "house_metric"]
    assert report.numbers[-1].label == "house_metric"
    assert (report.numbers[-1].original, report.numbers[-1].unlearned) == (None, 1.5)


def test_an_interval_stands_with_its_metric() -> None:
    """The ends are no rows of their own, and half an interval is none."""
    unlearned = {"mia_auc": 0.52, "mia_auc_low": 0.47, "mia_auc_high": 0.57, "nomus": 0.7, "nomus_low": 0.6}
    rows = number_rows({"unlearned": unlearned, "original": {"mia_auc": 0.9}})
    assert [row.metric for row in rows] == ["mia_auc", "nomus"]
    assert [row.unlearned_range for row in rows] == [(0.47, 0.57), None]
    assert rows[0].original_range is None
    assert between(rows[0].unlearned_range) == "0.470 to 0.570"


def test_the_json_holds_the_whole_report(report: Report) -> None:
    """The document survives a round trip, and an unknown field is refused."""
    text = report.model_dump_json()
    assert Report.model_validate_json(text) == report
    with pytest.raises(ValidationError):
        Report.model_validate_json(text[:-1] + ',"more":1}')


def test_the_same_material_gives_the_same_bytes(material: Material) -> None:
    """Neither the clock nor the order of a dictionary reaches the page."""
    pages = {render(compose(material, as_of=date(2026, 11, 20), due_soon_days=7)) for _ in range(2)}
    assert len(pages) == 1


def test_an_empty_ledger_makes_a_report(report: Report) -> None:
    """Before the first request the page says so instead of failing."""
    empty = compose(Material("synthetic", "data/raw", None, ()), as_of=date(2026, 11, 20), due_soon_days=7)
    assert empty.summary.ledger.head == GENESIS
    assert (empty.lineage, empty.details, empty.gate, empty.losses) == ((), (), None, None)
    page = BeautifulSoup(render(empty), "html.parser")
    assert page.find("table") is None
    assert "Nobody has asked to be forgotten yet." in page.get_text()


def test_a_broken_chain_and_changed_files_stand_at_the_top(material: Material) -> None:
    """What does not hold is said in the first paragraph and listed in the summary."""
    finding = Finding("models/unlearned/weights.safetensors", "aa", "bb")
    broken = replace(material, parts={"chain": CHAIN_BROKEN, "files": Verification(findings=(finding,))})
    page = BeautifulSoup(render(compose(broken, as_of=date(2026, 11, 20), due_soon_days=7)), "html.parser")
    assert "The ledger is broken" in _one(page, "header").get_text()
    summary = _one(page, "section#summary").get_text()
    assert str(CHAIN_BROKEN.findings[0]) in summary
    assert str(finding) in summary


def test_an_event_that_lacks_a_fact_is_refused(material: Material) -> None:
    """A report is not guessed together: the event is named."""
    event = material.events[2]
    lacking = replace(event, data={key: value for key, value in event.data.items() if key != "forget_count"})
    with pytest.raises(BadInput, match=r"event 3 .*forget_count"):
        compose(replace(material, events=[lacking]), as_of=date(2026, 11, 20), due_soon_days=7)


def test_hostile_text_stays_text(material: Material) -> None:
    """Markup in any fact reaches the page as text, wherever it stands."""

    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return value + HOSTILE if isinstance(value, str) and not value[:1].isdigit() else value

    events = [replace(event, data=poison(event.data)) for event in material.events]
    refused = replace(events[0], kind="refused", data={"request_id": "x", "reason": HOSTILE})
    unknown = replace(events[0], kind=HOSTILE, data={})
    poisoned = replace(
        material,
        dataset=HOSTILE,
        raw_path=HOSTILE,
        raw_digest=HOSTILE,
        events=[*events, refused, unknown],
        parts={HOSTILE: Verification(findings=(Finding(HOSTILE, HOSTILE, HOSTILE),), not_checked=(HOSTILE,))},
        metrics={"unlearned": {HOSTILE: 1.0}},
    )
    text = render(compose(poisoned, as_of=date(2026, 11, 20), due_soon_days=7))
    page = BeautifulSoup(text, "html.parser")
    assert page.find(["script", "img"]) is None
    assert len(page.find_all("style")) == 1
    assert not [tag for tag in page.find_all(True) if any(name.startswith("on") for name in tag.attrs)]
    assert text.count("&lt;script&gt;") >= 15


@given(st.text(), st.integers(1, 40))
def test_printable_text_is_bounded_and_encodable(text: str, limit: int) -> None:
    """Whatever comes in, what goes out is printable, short enough, and fits into UTF-8; plain text is kept."""
    found = printable(text, limit=limit)
    assert found.isprintable()
    assert found.encode().decode() == found
    assert len(found) <= limit
    assert found == text or not text.isprintable() or len(text) > limit


def test_half_a_surrogate_reaches_no_file(material: Material) -> None:
    """JSON can hold what UTF-8 cannot: both documents are still writable."""
    event = replace(material.events[0], kind="\ud800", data={})
    report = compose(replace(material, events=[event]), as_of=date(2026, 11, 20), due_soon_days=7)
    assert render(report).encode()
    assert report.model_dump_json().encode()


def test_the_page_stands_alone(report: Report) -> None:
    """No script, no address, no file beside it; and a policy that would refuse them."""
    text = render(report)
    page = BeautifulSoup(text, "html.parser")
    assert page.find(["script", "link", "img", "iframe", "object", "form"]) is None
    assert not re.search(r"https?://|url\(|@import", text)
    assert all(str(tag["href"]).startswith("#") for tag in page.find_all("a"))
    assert "default-src 'none'" in str(_one(page, "meta[http-equiv=Content-Security-Policy]")["content"])


def test_the_page_can_be_read_without_seeing_it(report: Report) -> None:
    """Landmarks, one first heading, no level skipped, named regions, captions, scopes, a described figure."""
    page = BeautifulSoup(render(report), "html.parser")
    assert _one(page, "html")["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.find_all(landmark)) == 1
    levels = [int(tag.name[1]) for tag in page.find_all(re.compile("^h[1-6]$"))]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for table in page.find_all("table"):
        assert table.find("caption") is not None
        assert all(cell.get("scope") in ("col", "row") for cell in table.find_all("th"))
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    named = [str(tag["aria-labelledby"]).split() for tag in page.select("[aria-labelledby]")]
    linked = [[str(tag["href"])[1:]] for tag in page.find_all("a")]
    assert {name for names in named + linked for name in names} <= set(ids)
    figures = page.find_all("svg")
    assert len(figures) == 3
    assert all(svg["role"] == "img" and svg.find("title") and svg.find("desc") for svg in figures)
    described = " ".join(svg.get_text() for svg in figures)
    assert "median forgotten 0.020" in described
    assert "req-00000000000a: received 2026-10-05, due 2026-11-05, fulfilled" in described
    assert "version 2: registered, 2 requests forgotten, from version 1" in described


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str) -> None:
    """Every pair of text and ground has the contrast of WCAG AA, in both schemes."""
    css = files("dlfd_ops.audit").joinpath("templates/report.css").read_text()
    blocks = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    colours = blocks[0] if scheme == "light" else blocks[0] | blocks[1]
    pairs = [(text, ground) for text in ("text", "soft", "test", "forget") for ground in ("page", "sheet")]
    pairs += [(name, f"{name}-fill") for name in ("good", "bad", "soon")]
    pairs += [("text", "quiet-fill"), ("soft", "quiet-fill")]
    low = {pair: _contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}


def test_the_histogram_counts_every_loss_once() -> None:
    """Shares sum to one whatever the losses are, zero and far outliers included."""
    figure = loss_figure({"original": {"forget": [0.0, 1e-9, 0.5], "test": [3.0, 1e6]}})
    assert figure is not None
    (panel,) = figure.panels
    assert [sum(part.shares) for part in panel.distributions] == pytest.approx([1.0, 1.0])
    assert [part.images for part in panel.distributions] == [3, 2]
    assert panel.distance == 1.0
    assert all(np.diff(figure.edges) > 0)


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=30), st.lists(st.floats(0, 1e4), min_size=1, max_size=30))
def test_the_drawing_stays_inside_its_frame(forget: list[float], test: list[float]) -> None:
    """Every coordinate lies inside the figure, and no panel is higher than its place."""
    figure = loss_figure({"unlearned": {"forget": forget, "test": test}})
    assert figure is not None
    drawing = draw(figure)
    (panel,) = drawing.panels
    for outline in panel.outlines.values():
        heights = [float(y) for y in re.findall(r"V(-?[\d.]+)", outline)]
        assert all(panel.base - drawing.panel_height - 0.01 <= y <= panel.base for y in heights)
    assert all(drawing.left <= x <= drawing.right for x in [*panel.medians.values(), *(t.x for t in drawing.ticks)])


def test_a_model_without_both_sets_is_not_drawn() -> None:
    """Without forgotten or without unseen losses there is nothing to compare."""
    assert loss_figure({}) is None
    assert loss_figure({"original": {"forget": [], "test": [1.0]}}) is None
    figure = loss_figure({**LOSSES, "retrained": {"test": [1.0]}})
    assert figure is not None
    assert [panel.model for panel in figure.panels] == ["original", "unlearned"]


def test_the_timeline_tells_every_kind(history: Ledger) -> None:
    """Each event is told in a sentence of its own, in the ledger's order."""
    history.append("extended", {"request_id": "req-00000000000a", "due_at": "2027-01-05", "reason": "complexity"})
    history.append("acknowledged", {"request_id": "req-00000000000a"})
    history.append("refused", {"request_id": "req-00000000000a", "reason": "other"})
    history.append("withdrawn", {"request_id": "req-00000000000a"})
    entries = timeline(history.events())
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert all(entry.title != entry.kind for entry in entries)
    told = {entry.kind: f"{entry.title}; {entry.detail}" for entry in entries}
    assert told["evaluated"] == "Model measured; attack AUC 0.750 before, 0.530 after"
    assert told["gated"] == "Version 2 passed the gate; 1 of 1 rule held"
    assert told["resolved"] == f"Forget list drawn up; 24 training photos; 2 requests; list {'c' * 12}"
    assert told["refused"] == "Request req-00000000000a refused; reason: other"


def _one(page: BeautifulSoup | Tag, selector: str) -> Tag:
    found = page.select_one(selector)
    assert found is not None
    return found


def _contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, as WCAG 2 defines it."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
