"""The lineage: what came out of which, what each version has forgotten, and the figure of it."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlfd_ops.audit.evidence import VersionEvidence
from dlfd_ops.audit.facts import Receipt, Registered, Resolved, Unlearned
from dlfd_ops.audit.lineage import VersionNode, ancestors, forgetting, forgotten, lineage
from dlfd_ops.audit.lineage_figure import MAX_ROWS, draw_lineage


def weights(number: int) -> str:
    """Return the digest of made-up weights."""
    return f"{number:064x}"


def evidence(number: int, parent: int, *requests: str) -> VersionEvidence:
    """Return what the ledger says about version ``number``, unlearned from the weights ``parent``."""
    named = {"request_ids": requests, "forget_list_digest": "f", "weights_digest": weights(number)}
    registered = Registered.model_validate(
        {**named, "model_name": "face", "version": number, "run_id": "r", "store": "s", "provenance": {}}
    )
    made = {"method": "dlfd", "params_digest": "p", "git_commit": "c", "parent_weights_digest": weights(parent)}
    unlearned = Unlearned.model_validate({**named, **made})
    return VersionEvidence("2026-01-05T12:00:00Z", registered, None, unlearned, None, None, lineage=())


@pytest.fixture
def nodes(receipt: Receipt) -> tuple[VersionNode, ...]:
    """An original (0, version 1), 2 from it, 3 from 2, 4 from the original again."""
    registered = [evidence(2, 0, "a"), evidence(3, 2, "a", "b"), evidence(4, 0, "c")]
    of_the_third = receipt.model_copy(update={"version": 3, "weights_digest": weights(3)})
    return lineage(registered, of_the_third, {("face", 1): "archived", ("face", 3): "serving"})


def test_parents_are_found_by_their_weights(nodes: tuple[VersionNode, ...]) -> None:
    """Weights that no version has are those of the original, which the receipt numbers; a parent stands first."""
    assert [(node.role, node.version, node.parent) for node in nodes] == [
        ("original", 1, None),
        ("unlearned", 2, 0),
        ("unlearned", 3, 1),
        ("unlearned", 4, 0),
    ]
    assert [node.place for node in nodes] == ["archived", "registered", "serving", "registered"]
    assert [node.version for node in ancestors(nodes, nodes[2])] == [3, 2, 1]


def test_what_an_ancestor_forgot_stays_forgotten(nodes: tuple[VersionNode, ...]) -> None:
    """A version's own requests are those that its parent had not forgotten; a sibling's are not its own."""
    assert [node.forgets for node in nodes] == [(), ("a",), ("b",), ("c",)]
    assert [forgotten(nodes, node) for node in nodes] == [(), ("a",), ("a", "b"), ("c",)]
    assert forgetting(nodes, {"a"}) == (False, True, True, False)


def test_versions_of_another_original_have_a_root_of_their_own(receipt: Receipt) -> None:
    """A model trained anew begins a second lineage; the receipt numbers the original of the version that it names."""
    registered = [evidence(2, 0, "a"), evidence(4, 9, "a")]
    for version, original, expected in ((2, 1, [1, 2, None, 4]), (4, 3, [None, 2, 3, 4])):
        named = {"version": version, "weights_digest": weights(version), "original_version": original}
        nodes = lineage(registered, receipt.model_copy(update=named), {})
        assert [node.version for node in nodes] == expected
        assert [node.parent for node in nodes] == [None, 0, None, 2]


def test_an_original_that_was_trained_without_people_never_knew_them(receipt: Receipt) -> None:
    """What its first version covers and was never on a list is what was gone when it was trained."""
    afresh = evidence(4, 9, "a", "b", "c")
    named = {"request_ids": ("c",), "forget_list_digest": "f", "forget_count": 1, "manifest_digest": "m"}
    nodes = lineage([evidence(2, 0, "a", "b"), replace(afresh, resolved=Resolved.model_validate(named))], receipt, {})
    assert [(node.role, node.forgets) for node in nodes] == [
        ("original", ()),
        ("unlearned", ("a", "b")),
        ("original", ("a", "b")),
        ("unlearned", ("c",)),
    ]
    assert forgetting(nodes, {"a"}) == (False, True, True, True)


@st.composite
def histories(draw: st.DrawFn) -> list[VersionEvidence]:
    """Versions, each unlearned from the original or from an earlier one."""
    count = draw(st.integers(1, MAX_ROWS + 3))
    return [
        evidence(number + 2, draw(st.sampled_from([0, *range(2, number + 2)])), *draw(st.sets(st.sampled_from("abc"))))
        for number in range(count)
    ]


@settings(max_examples=25)
@given(histories())
def test_forgetting_never_goes_back_along_a_line(registered: list[VersionEvidence]) -> None:
    """A version has forgotten whatever its parent has, and the two ways of asking agree."""
    nodes = lineage(registered, None, {})
    for node in nodes:
        line = [set(forgotten(nodes, one)) for one in ancestors(nodes, node)]
        assert all(older <= younger for younger, older in pairwise(line))
    for request in "abc":
        assert forgetting(nodes, {request}) == tuple(request in forgotten(nodes, node) for node in nodes)


@settings(max_examples=25)
@given(histories())
def test_the_figure_has_room_for_every_version(registered: list[VersionEvidence]) -> None:
    """One row a version, at most as many as fit, each dot in its own place, every line inside the figure."""
    nodes = lineage(registered, None, {})
    drawing = draw_lineage(nodes)
    assert drawing is not None
    assert len(drawing.rows) + drawing.left_out == len(nodes)
    assert len(drawing.rows) == min(len(nodes), MAX_ROWS)
    assert len({row.y for row in drawing.rows}) == len(drawing.rows)
    assert all(0 < row.x < drawing.text and 0 < row.y < drawing.height for row in drawing.rows)
    numbers = [float(number) for row in drawing.rows for number in re.findall(r"[\d.]+", row.line)]
    assert all(0 < number < max(drawing.height, drawing.text) for number in numbers)


def test_without_versions_there_is_no_figure() -> None:
    """Nothing registered, nothing drawn."""
    assert draw_lineage(()) is None
