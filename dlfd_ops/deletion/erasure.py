"""What an erasure is: its plan, the private intent that it works from, and the receipt that it leaves.

A plan and a receipt name no photo and no person: an object stands in them by keyed hash, for a photo its sample id.
The intent holds what the work itself needs and destroys (paths, plain digests). It lies in ``.dlfd/`` with mode 0600
before anything is removed, and goes when the receipt is in the ledger: a run that was killed is taken up from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlfd_ops.deletion.requests import KeyedHash, KeyId, RequestId
from dlfd_ops.deletion.suppression import Suppressed
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, write_text

INTENT_FILE = Path(".dlfd/erasure.json")
RECEIPTS = Path("audit/receipts")
MAX_INTENT_BYTES = 1 << 30

Kind = Literal[
    "photo", "table", "listing", "run cache", "experiment", "model", "checkpoint", "temporary file", "state database"
]
Outcome = Literal["remove", "removed", "keep", "kept"]
RAW = "raw data"
PREPARED = "prepared data"
WORKING_TREE = "this working tree"
RESIDUE = "kept by the policy"
SHARED = "a sample that stays has the same content"
FOREIGN = "recorded by no revision of this repository"
OUTSIDE = "outside of the repository: erase.outside_source is keep"
TRACKED = "a model beside the pipeline's own, tracked at the newest revision"
IN_USE = "still in use at the newest revision"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(_Value):
    """One object in one store.

    Attributes:
        object: keyed hash; of a photo its sample id, wherever it lies.
        kind: what it is.
        store: where it lies.
        outcome: what is to be done with it, or what was done.
        ground: why it is kept, or empty.
    """

    object: KeyedHash
    kind: Kind
    store: Annotated[str, Field(max_length=256)]
    outcome: Outcome
    ground: Annotated[str, Field(max_length=256)] = ""


class Target(Item):
    """An item with what it takes to remove it; never published.

    Attributes:
        name: path, reference or id in the store.
        oid: DVC's id of the content, or empty.
        weights: of a model, SHA-256 of its weights; empty where they are not known.
    """

    name: str
    oid: str = ""
    weights: str = ""

    def item(self) -> Item:
        """Return what may be published."""
        return Item(**self.model_dump(exclude={"name", "oid", "weights"}))


class Plan(_Value):
    """What an erasure will do.

    Attributes:
        format: of this document.
        key_id: public id of the key behind the keyed hashes.
        request_ids: the fulfilled requests whose data go.
        items: every object that was found, sorted.
        merged_names: number of names that nobody asked about and that go all the same: they share a photo with
            somebody who asked, and names that share a photo are one person.
        unreadable_revisions: commits that DVC can no longer check out completely, the newest first.
        not_reached: where their data may still lie.
    """

    format: Literal["dlfd-ops/erasure/v1"] = "dlfd-ops/erasure/v1"
    key_id: KeyId
    request_ids: tuple[RequestId, ...]
    items: tuple[Item, ...]
    merged_names: Annotated[int, Field(ge=0)] = 0
    unreadable_revisions: tuple[str, ...]
    not_reached: tuple[str, ...]

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON: what was reviewed is what runs."""
        return sha256_json(self.model_dump(mode="json"))

    @property
    def receipt(self) -> Path:
        """Where the receipt goes, relative to the repository."""
        return receipt_path(self.digest())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return all(item.outcome != "remove" for item in self.items)


class Intent(_Value):
    """All that an erasure needs once it has begun to destroy.

    Attributes:
        plan: what was agreed to.
        suppress: entries of the suppression list.
        source: folder of the source, relative to the pipeline's folder or absolute.
        photos: paths of the raw photos that go, relative to ``source``.
        recorded: what ``dvc.lock`` recorded of the inputs that change, see :meth:`DvcRepository.accept`.
        remotes: that held the data as it stood, and get it as it will stand.
        manifest_before: digest of the manifest.
        trained_on_before: digest of the record of what the original was trained on.
        trained_on_after: and without them.
        targets: everything found in the stores.
    """

    plan: Plan
    suppress: tuple[Suppressed, ...]
    source: str
    photos: tuple[str, ...]
    recorded: dict[str, str]
    remotes: tuple[str, ...]
    manifest_before: KeyedHash
    trained_on_before: KeyedHash
    trained_on_after: KeyedHash
    targets: tuple[Target, ...]


class Receipt(_Value):
    """What an erasure did.

    Attributes:
        format: of this document.
        plan_digest: of the plan that was carried out.
        request_ids: the requests whose data went.
        manifest_before: digest of the manifest before.
        manifest_after: and after.
        items: what became of every object of the plan.
        unreadable_revisions: see :class:`Plan`.
        not_reached: see :class:`Plan`.
    """

    format: Literal["dlfd-ops/erasure/v1"] = "dlfd-ops/erasure/v1"
    plan_digest: KeyedHash
    request_ids: tuple[RequestId, ...]
    manifest_before: KeyedHash
    manifest_after: KeyedHash
    items: tuple[Item, ...]
    unreadable_revisions: tuple[str, ...]
    not_reached: tuple[str, ...]

    def text(self) -> str:
        """Return the receipt as it is written."""
        return self.model_dump_json(indent=1) + "\n"


def count(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """Return store -> outcome -> number of objects, sorted."""
    counted = Counter((item.store, item.outcome) for item in items)
    result: dict[str, dict[str, int]] = {}
    for (store, outcome), number in sorted(counted.items()):
        result.setdefault(store, {})[outcome] = number
    return result


def count_grounds(items: Iterable[Item]) -> dict[str, int]:
    """Return why objects are kept, and how many, sorted."""
    return dict(sorted(Counter(item.ground for item in items if item.outcome == "kept").items()))


def count_by_kind(items: Iterable[Item]) -> list[tuple[tuple[str, str, str, str], int]]:
    """Return (outcome, store, kind, ground) and the number of objects, sorted."""
    return sorted(Counter((item.outcome, item.store, item.kind, item.ground) for item in items).items())


def receipt_path(plan_digest: str) -> Path:
    """Return where the receipt of a plan goes, relative to the repository."""
    return RECEIPTS / f"{plan_digest[:16]}.json"


def read_receipt(path: Path) -> Receipt:
    """Read a receipt.

    Raises:
        BadInput: it is missing, or not what an erasure leaves.
    """
    try:
        return Receipt.model_validate_json(read_bounded(path, max_bytes=MAX_INTENT_BYTES, what=str(path)))
    except ValidationError as error:
        raise BadInput(
            f"{path} must be the receipt of an erasure",
            received=f"a {'.'.join(map(str, error.errors()[0]['loc'][:2])) or 'file'} that breaks the format",
            remedy="restore it from git",
        ) from error


def write_intent(intent: Intent, path: Path = INTENT_FILE) -> None:
    """Write the intent for the owner alone, in one rename."""
    write_text(path, intent.model_dump_json() + "\n", mode=0o600)


def read_intent(path: Path = INTENT_FILE) -> Intent | None:
    """Return the intent of an erasure that has not ended, or None.

    Raises:
        BadInput: it is damaged.
    """
    if not path.exists():
        return None
    try:
        return Intent.model_validate_json(read_bounded(path, max_bytes=MAX_INTENT_BYTES, what=str(path)))
    except ValidationError as error:
        raise BadInput(
            f"{path} must be the intent of an interrupted erasure",
            received=f"a {'.'.join(map(str, error.errors()[0]['loc'][:2])) or 'file'} that breaks the format",
            remedy="restore it from a backup: what is left cannot be found without it",
        ) from error
