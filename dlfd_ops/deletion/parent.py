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
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, replaced_folder, write_text

PARENT_FILE = Path("deletion/parent.json")
PARENT_MODEL = Path("models/parent")
"""The parent's weights and the evidence about whom it has forgotten; a note only where the original is the parent."""
MAX_PARENT_BYTES = 64 << 20

_NOTE = "start.txt"
_WEIGHTS = "weights.safetensors"  # as dlfd_ops.models.checkpoint names them, which loads torch: commands start without


class Parent(BaseModel):
    """What the next unlearning starts from, and which requests it leaves out.

    Attributes:
        kind: ``original``: the model trained on everything, as the train stage leaves it in ``models/original``.
            ``version``: an unlearned version of the registry, whose weights lie in ``models/parent``.
        version: its number in the registry; ``None`` for the original, which may not be registered yet.
        weights_digest: SHA-256 of its weights; ``None`` for the original, which the train stage's output names.
        original: SHA-256 of the trained weights that a version comes from; ``None`` for the original itself, and where
            the ledger or an older pin does not tell.
        unlearnings: how many unlearnings lie between the training and these weights.
        covers: ids of the requests that the parent has forgotten already, sorted; of an original, of those whose data
            were gone when it was trained.
        excluded: ids of the requests that were withdrawn or refused, sorted.
        accuracy_drop: share of right decisions on test that it has lost against the original, as its gate held it;
            ``None`` for the original itself, and where the ledger or an older pin does not tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["original", "version"] = "original"
    version: Annotated[int, Field(ge=1)] | None = None
    weights_digest: KeyedHash | None = None
    original: KeyedHash | None = None
    unlearnings: Annotated[int, Field(ge=0)] = 0
    covers: tuple[RequestId, ...] = ()
    excluded: tuple[RequestId, ...] = ()
    accuracy_drop: Annotated[float, Field(ge=-1, le=1)] | None = None

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        for ids in (self.covers, self.excluded):
            if list(ids) != sorted(set(ids)):
                raise ValueError("ids must be sorted, each once")
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        facts = [fact is not None for fact in (self.version, self.weights_digest, self.unlearnings or None)]
        if any((*facts, self.original)) if self.kind == "original" else not (all(facts) and self.covers):
            raise ValueError(
                "a version has a number, weights, an unlearning and requests; the original may have covers"
            )
        return self

    def excluding(self, request_ids: Iterable[str]) -> Parent:
        """Return this parent with further requests left out; none is ever let back in."""
        return self.model_copy(update={"excluded": tuple(sorted({*self.excluded, *request_ids}))})


def write_note(folder: Path = PARENT_MODEL) -> None:
    """Make a folder of the parent's weights that says that the original is the parent, unless it says so already."""
    if [path.name for path in folder.glob("*")] != [_NOTE]:
        with replaced_folder(folder) as new:
            write_text(new / _NOTE, "The unlearning starts from models/original, as the train stage leaves it.\n")


def check_weights(parent: Parent, folder: Path = PARENT_MODEL) -> None:
    """Check that a folder holds the weights that are pinned.

    Args:
        parent: as pinned; where it is the original, no weights are pinned and any folder will do.
        folder: of the weights.

    Raises:
        BadInput: it holds others, or none. A command that was killed while it pinned leaves it so.
    """
    if parent.weights_digest is None:
        return
    weights = folder / _WEIGHTS
    found = sha256_file(weights) if weights.is_file() else "nothing"
    if found != parent.weights_digest:
        raise BadInput(
            "unlearning must start from the pinned parent",
            received=f"weights {found[:12]}... where {PARENT_FILE} pins {parent.weights_digest[:12]}...",
            remedy="run the request add, request import or erase run that was interrupted again; or undo it: "
            f"dvc checkout --force {PARENT_MODEL} {PARENT_FILE} (if dvc repro ran since, first git checkout of their "
            ".dvc files)",
        )


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
