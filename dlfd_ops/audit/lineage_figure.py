"""The lineage as the geometry of a figure: one row a version, lines from each parent to its children.

The oldest stands at the top; a version whose parent already has a younger child opens a lane of its own, as histories
of code are drawn. Drawing is left to the template: this module hands it coordinates, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlfd_ops.audit.lineage import VersionNode, forgotten

MAX_ROWS = 60
"""Most versions drawn: the newest; the text below the figure has them all."""
ROW_HEIGHT = 46.0
LANE_WIDTH = 22.0


@dataclass(frozen=True)
class LineageRow:
    """One version.

    Attributes:
        node: the version.
        x: of its dot.
        y: of its dot.
        line: SVG path data of the line from its parent; empty for an original.
        forgotten: number of requests that it has forgotten, its ancestors' included.
    """

    node: VersionNode
    x: float
    y: float
    line: str
    forgotten: int


@dataclass(frozen=True)
class LineageDrawing:
    """The geometry of the whole figure, in SVG user units.

    Attributes:
        width: of the figure.
        height: of the figure.
        text: x where the words begin.
        rows: the versions drawn, the oldest first.
        left_out: number of older versions that are not drawn.
    """

    width: float
    height: float
    text: float
    rows: tuple[LineageRow, ...]
    left_out: int


def draw_lineage(nodes: Sequence[VersionNode], *, width: float = 720) -> LineageDrawing | None:
    """Lay the versions out, or return None when there are none."""
    if not nodes:
        return None
    lanes = _lanes(nodes)
    skipped = max(len(nodes) - MAX_ROWS, 0)

    def place(index: int) -> tuple[float, float]:
        return 16 + LANE_WIDTH * lanes[index], 24 + ROW_HEIGHT * (index - skipped)

    rows = []
    for index, node in enumerate(nodes[skipped:], start=skipped):
        x, y = place(index)
        line = _line(place(node.parent), (x, y)) if node.parent is not None and node.parent >= skipped else ""
        rows.append(LineageRow(node, x, y, line, len(forgotten(nodes, node))))
    text = 16 + LANE_WIDTH * (max(lanes[skipped:]) + 1)
    return LineageDrawing(width, 48 + ROW_HEIGHT * (len(rows) - 1), text, tuple(rows), skipped)


def _lanes(nodes: Sequence[VersionNode]) -> list[int]:
    """Return the lane of every version: its parent's for a first child, else the next free one."""
    lanes: list[int] = []
    with_child: set[int] = set()
    for node in nodes:
        if node.parent is not None and node.parent not in with_child:
            with_child.add(node.parent)
            lanes.append(lanes[node.parent])
        else:
            lanes.append(max(lanes, default=-1) + 1)
    return lanes


def _line(parent: tuple[float, float], child: tuple[float, float]) -> str:
    """Return a straight line down a lane, or a bend into another one."""
    (x, y), (to_x, to_y) = parent, child
    if x == to_x:
        return f"M{x:g} {y:g}V{to_y:g}"
    bend = y + ROW_HEIGHT / 2
    return f"M{x:g} {y:g}C{x:g} {bend:g} {to_x:g} {y:g} {to_x:g} {y + ROW_HEIGHT:g}V{to_y:g}"
