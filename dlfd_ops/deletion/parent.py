"""The parent: the model version that an unlearning starts from, pinned in a file.

It is pinned when a request is filed or closed, so that nothing which DVC cannot see (an alias
of the registry, the ledger) steers a stage.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dlfd_ops.deletion.requests import KeyedHash, RequestId
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, write_text

PARENT_FILE = Path("deletion/parent.json")
MAX_PARENT_BYTES = 64 << 20


class Parent(BaseModel):
    """What the next unlearning starts from, and which requests it leaves out.

    Attributes:
        kind: ``original``: the model trained on everything, as the train stage leaves it.
        version: version in the registry; ``None`` for the original, which may not be registered yet.
        weights_digest: SHA-256 of its weights; ``None`` for the original, which the train stage's output names.
        covers: ids of the requests that the parent has forgotten already, sorted.
        excluded: ids of the requests that were withdrawn or refused, sorted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["original"] = "original"
    version: Annotated[int, Field(ge=1)] | None = None
    weights_digest: KeyedHash | None = None
    covers: tuple[RequestId, ...] = ()
    excluded: tuple[RequestId, ...] = ()

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        for ids in (self.covers, self.excluded):
            if list(ids) != sorted(set(ids)):
                raise ValueError("ids must be sorted, each once")
        return self

    def excluding(self, request_ids: Iterable[str]) -> Parent:
        """Return this parent with further requests left out; none is ever let back in."""
        return self.model_copy(update={"excluded": tuple(sorted({*self.excluded, *request_ids}))})


def write_parent(path: Path, parent: Parent) -> None:
    """Write the pinned parent, in one rename."""
    write_text(path, parent.model_dump_json(indent=2) + "\n")


def read_parent(path: Path) -> Parent:
    """Read the pinned parent.

    Raises:
        BadInput: missing, too large, or not in the format.
    """
    content = read_bounded(path, max_bytes=MAX_PARENT_BYTES, what=str(path))
    try:
        return Parent.model_validate_json(content)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][:1]) or "file"
        raise BadInput(
            f"{path} must be a pinned parent",
            received=f"a {where} that breaks the format",
            remedy="restore it with dvc checkout",
        ) from error
