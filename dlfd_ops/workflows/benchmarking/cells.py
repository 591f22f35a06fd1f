"""One cell of the benchmark: what one method did with one seed, as a file that says what it depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, write_text
from dlfd_ops.params import YARDSTICKS

MAX_CELL_BYTES = 16 << 20
ORIGINAL, RETRAINED = YARDSTICKS


class Trial(BaseModel):
    """One try of a method, judged on the validation people.

    Attributes:
        settings: dotted keys of the section ``unlearn`` -> values.
        nomus: NoMUS with the validation people in the place of the test people.
        metrics: other numbers on the validation people.
        seconds: of the unlearning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, JsonValue]
    nomus: float
    metrics: dict[str, float]
    seconds: float


class Cell(BaseModel):
    """What one method did with one seed.

    Attributes:
        key: digest of everything that the cell depends on.
        method: its row of the table.
        seed: of weights, batches and draws.
        trials: what was tried, in order; none for the yardsticks.
        chosen: place of the trial with the best NoMUS on validation.
        metrics: of that trial's model; test was read for it alone, once.
        seconds: of its unlearning, or of the training of a yardstick.
        curves: what is drawn of it, as :class:`dlfd_ops.evaluation.curves.Curves` writes it.
        places: forget and test samples as points of the plane, (N, 2) each: two directions of the features.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    method: str
    seed: int
    trials: tuple[Trial, ...]
    chosen: int | None
    metrics: dict[str, float]
    seconds: float
    curves: dict[str, Any]
    places: dict[str, list[tuple[float, float]]]


def write_cell(cell: Cell, path: Path) -> None:
    """Write the cell in one rename."""
    write_text(path, cell.model_dump_json(indent=1) + "\n")


def read_cell(path: Path) -> Cell:
    """Read what :func:`write_cell` wrote.

    Raises:
        BadInput: the file is missing, too large, or no cell.
    """
    content = read_bounded(path, max_bytes=MAX_CELL_BYTES, what=str(path))
    try:
        return Cell.model_validate_json(content)
    except ValidationError as error:
        raise BadInput(
            f"{path} must be a cell of the benchmark",
            received=f"{error.error_count()} fields that are not",
            remedy="remove it and run the benchmark again",
        ) from error


def stands(path: Path, key: str) -> bool:
    """Whether ``path`` holds a cell with this key; a damaged file is none."""
    try:
        return path.exists() and read_cell(path).key == key
    except BadInput:
        return False
