"""What the ledger's events state: a shape for each kind of event, and reading them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.envelope import Hex64
from dlfd_ops.errors import BadInput

YEARS = range(1970, 3000)
"""Of the dates that an event may state: time zones and months can be added to them."""


def _text(value: object) -> object:
    if not isinstance(value, str):  # a number would be taken for seconds
        raise ValueError("a date must be text")
    return value


def _of_our_time(value: date) -> date:
    if value.year not in YEARS:
        raise ValueError(f"a date must be of the years {YEARS[0]} to {YEARS[-1]}")
    return value


Day = Annotated[date, BeforeValidator(_text), AfterValidator(_of_our_time)]
Moment = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_of_our_time)]
Identity = tuple[str, int, str]
"""What makes a version this version: model, number, store."""


class Facts(BaseModel):
    """Base of what an event of one kind says; facts added later are ignored here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class About(Facts):
    """Something happened to one request."""

    request_id: str


class Received(About):
    """A request came in."""

    legal_basis: str
    received_at: Moment
    due_at: Day
    target: str


class Extended(About):
    """A request was given more time."""

    due_at: Day


class Resolved(Facts):
    """The open requests became a forget list.

    Attributes:
        trained_on_digest: of the record of what the original was trained on
            (:mod:`dlfd_ops.data.trained_on`); None in ledgers from before it was told.
    """

    request_ids: tuple[str, ...]
    forget_list_digest: str
    forget_count: int
    manifest_digest: str
    trained_on_digest: str | None = None


class Unlearned(Facts):
    """A model was made to forget."""

    request_ids: tuple[str, ...]
    method: str
    params_digest: str
    parent_weights_digest: str
    weights_digest: str
    forget_list_digest: str
    git_commit: str


class Evaluated(Facts):
    """A model was measured."""

    weights_digest: str
    forget_list_digest: str
    metrics: dict[str, float | None]


class Registered(Facts):
    """A version was registered in MLflow.

    Attributes:
        provenance: tags of the version that say what it was made from: commit, whether the tree was clean, DVC lock.
    """

    model_name: str
    version: int
    run_id: str
    weights_digest: str
    forget_list_digest: str
    request_ids: tuple[str, ...]
    store: str
    provenance: dict[str, str]

    @property
    def identity(self) -> Identity:
        """What makes it this version."""
        return self.model_name, self.version, self.store

    def same_version(self, receipt: Receipt) -> bool:
        """Return whether ``receipt`` is about this version."""
        return self.identity == (receipt.model_name, receipt.version, receipt.store)


class GateRule(Facts):
    """One rule of the policy and how a version did against it."""

    rule: str
    value: float | None
    limit: float | None
    passed: bool


class Gated(Facts):
    """The gate decided on a version.

    Attributes:
        store: where the version stands; None in ledgers from before it was told.
    """

    model_name: str
    version: int
    store: str | None = None
    passed: bool
    rules: tuple[GateRule, ...]


class KeyInUse(Facts):
    """A signing key came into use.

    Attributes:
        key_id: of it.
        replaces: the id of the key before; None for the first.
        endorsement: that key's signature of the succession; None for the first, and where that key was not at hand.
        acceptance: this key's own signature of it; None for the first.
    """

    key_id: Hex64
    replaces: Hex64 | None
    endorsement: str | None = None
    acceptance: str | None = None


class Certified(Facts):
    """A certificate was issued.

    Attributes:
        name: of its file, without the ending.
        digest: SHA-256 of the file.
        key_id: of the key that signed it.
        request_ids: the requests that it concerns.
    """

    name: str
    digest: str
    key_id: str
    request_ids: tuple[str, ...]


class Erased(Facts):
    """The data of fulfilled requests were removed from the stores.

    Attributes:
        manifest_before: digest of the manifest before.
        manifest_after: and without them.
        trained_on_before: digest of the record of what the original was trained on; None in ledgers from before it was
            told.
        trained_on_after: and without them.
        plan_digest: of the plan that was carried out; the receipt's file is named by it.
        receipt_digest: SHA-256 of the receipt, which tells every object.
        objects: store -> outcome -> number of objects.
        kept: why objects were kept -> how many; empty in ledgers from before it was told.
        weights: SHA-256 of weights that knew one of the people -> "removed" from every store that was reached, or
            "kept" in one; empty in ledgers from before it was told.
        not_reached: where their data may still lie.
        suppression_digest: of the whole suppression list then (:func:`dlfd_ops.deletion.suppression.list_digest`); None
            in ledgers from before it was told.
    """

    request_ids: tuple[str, ...]
    manifest_before: str
    manifest_after: str
    trained_on_before: str | None = None
    trained_on_after: str | None = None
    plan_digest: str
    receipt_digest: str
    objects: dict[str, dict[str, int]]
    kept: dict[str, int] = Field(default_factory=dict)
    weights: dict[str, Literal["removed", "kept"]] = Field(default_factory=dict)
    not_reached: tuple[str, ...]
    suppression_digest: Hex64 | None = None


class Move(Facts):
    """Another version of a model began to serve.

    Attributes:
        from_version: the version that served before; None for the first.
        by: who decided.
    """

    model_name: str
    store: str
    version: int
    from_version: int | None
    by: str


class Promoted(Move):
    """A version was promoted.

    Attributes:
        forced: whether its gate had not passed.
        reason: why it was forced.
        failed_rules: what it had not passed, with value and limit.
    """

    forced: bool
    reason: str | None
    failed_rules: tuple[str, ...]


class RolledBack(Move):
    """An earlier version serves again."""


class Receipt(Facts):
    """``registry/version.json``: what the register stage registered, and where.

    Attributes:
        model_name: the registered model.
        version: number of the unlearned version.
        original_version: version of the original model, the root of the lineage.
        parent_version: version that the unlearning started from.
        run_id: run of the unlearning.
        store: name of the store, without credentials.
        weights_digest: of the unlearned weights.
        forget_list_digest: of what was forgotten.
        manifest_digest: of the data.
        gate: "passed" or "failed".
    """

    model_name: str
    version: int
    original_version: int
    parent_version: int
    run_id: str
    store: str
    weights_digest: str
    forget_list_digest: str
    manifest_digest: str
    gate: str


MOVES: dict[str, type[Move]] = {"promoted": Promoted, "rolled_back": RolledBack}
_KINDS: dict[str, type[Facts]] = {
    "received": Received,
    "acknowledged": About,
    "extended": Extended,
    "refused": About,
    "withdrawn": About,
    "resolved": Resolved,
    "unlearned": Unlearned,
    "evaluated": Evaluated,
    "registered": Registered,
    "gated": Gated,
    "signing_key": KeyInUse,
    "certified": Certified,
    "erased": Erased,
    **MOVES,
}

AnyFacts = TypeVar("AnyFacts", bound=Facts)


def facts(events: Iterable[Event], kind: str, model: type[AnyFacts]) -> list[tuple[str, AnyFacts]]:
    """Return when, and what, for every event of ``kind``, in the ledger's order.

    Raises:
        BadInput: an event lacks a fact; its number is named.
    """
    return [(event.at, read(event, model)) for event in events if event.kind == kind]


def check_facts(events: Iterable[Event]) -> None:
    """Check that every event states when it was and the facts of its kind; kinds not known here may state anything.

    Raises:
        BadInput: a fact is missing or of another type; the event is named.
    """
    for event in events:
        read(event, _KINDS.get(event.kind, Facts))
        try:
            _of_our_time(datetime.fromisoformat(event.at))
        except ValueError as error:
            raise _lacks(event, "an ISO 8601 time of these centuries", "another text") from error


def read(event: Event, model: type[AnyFacts]) -> AnyFacts:
    """Return what one event states.

    Raises:
        BadInput: it lacks a fact; its number is named.
    """
    try:
        return model.model_validate(event.data)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise _lacks(event, key, error.errors()[0]["msg"]) from error


def _lacks(event: Event, fact: str, received: str) -> BadInput:
    return BadInput(
        f"ledger event {event.seq} ({event.kind!r:.40}) must state {fact}",
        received=received,
        remedy="restore audit/ledger.jsonl from git",
    )
