"""The ledger's events as sentences, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.chain import Event

Topic = Literal["request", "model", "gate"]
SHORT = 12


class Entry(BaseModel):
    """One event, told.

    Attributes:
        seq: number of the event in the ledger.
        at: when, ISO 8601 in UTC.
        kind: the ledger's word for it.
        topic: whose story it belongs to.
        title: what happened, in a short sentence.
        detail: the facts, in a line; may be empty.
        hash: hash of the ledger line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int
    at: str
    kind: str
    topic: Topic
    title: str
    detail: str
    hash: str


def timeline(events: Iterable[Event]) -> tuple[Entry, ...]:
    """Return every event as an entry; one of an unknown kind is told by its kind alone."""
    return tuple(_entry(event) for event in events)


def printable(value: object, *, limit: int = 500) -> str:
    """Return ``value`` as text that any file and terminal can hold: no control characters, no half surrogates.

    Args:
        value: what a ledger or a request says; hostile at worst.
        limit: largest number of characters; a longer text ends in an ellipsis.
    """
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))
    return text if len(text) <= limit else text[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def short(digest: object) -> str:
    """Return the first digits of a digest: enough to recognise it, not to compare it."""
    return printable(digest)[:SHORT]


def count(number: object, noun: str) -> str:
    """Return ``number`` with ``noun`` in the right number: "1 photo", "2 photos"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _entry(event: Event) -> Entry:
    topic, tell = _TELLERS.get(event.kind, ("model", _unknown))
    title, detail = tell({"kind": event.kind, **event.data})
    return Entry(
        seq=event.seq,
        at=printable(event.at),
        kind=printable(event.kind),
        topic=topic,
        title=printable(title),
        detail=printable(detail),
        hash=printable(event.hash),
    )


Data = Mapping[str, Any]
Told = tuple[str, str]


def _unknown(data: Data) -> Told:
    return str(data["kind"]), ""


def _received(data: Data) -> Told:
    names = {"subject": "about a person", "samples": "about single photos"}.get(str(data.get("target")), "")
    facts = (f"legal basis {data.get('legal_basis')}", f"due {data.get('due_at')}", names)
    return f"Request {data.get('request_id')} received", _line(facts)


def _acknowledged(data: Data) -> Told:
    return f"Request {data.get('request_id')} acknowledged", ""


def _extended(data: Data) -> Told:
    return f"Deadline of {data.get('request_id')} extended to {data.get('due_at')}", _reason(data)


def _refused(data: Data) -> Told:
    return f"Request {data.get('request_id')} refused", _reason(data)


def _withdrawn(data: Data) -> Told:
    return f"Request {data.get('request_id')} withdrawn", ""


def _resolved(data: Data) -> Told:
    facts = (
        count(data.get("forget_count"), "training photo"),
        count(len(_items(data.get("request_ids"))), "request"),
        f"list {short(data.get('forget_list_digest'))}",
    )
    return "Forget list drawn up", _line(facts)


def _unlearned(data: Data) -> Told:
    before, after = short(data.get("parent_weights_digest")), short(data.get("weights_digest"))
    return "Model made to forget", _line((f"method {data.get('method')}", f"weights {before} became {after}"))


def _evaluated(data: Data) -> Told:
    metrics = data.get("metrics")
    values = metrics if isinstance(metrics, Mapping) else {}
    before, after = values.get("original.mia_auc", values.get("parent.mia_auc")), values.get("unlearned.mia_auc")
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return "Model measured", f"weights {short(data.get('weights_digest'))}"
    return "Model measured", f"attack AUC {before:.3f} before, {after:.3f} after"


def _registered(data: Data) -> Told:
    return f"Version {data.get('version')} of {data.get('model_name')} registered", f"run {data.get('run_id')}"


def _gated(data: Data) -> Told:
    rules = _items(data.get("rules"))
    held = sum(1 for rule in rules if isinstance(rule, Mapping) and rule.get("passed") is True)
    verdict = "passed" if data.get("passed") is True else "failed"
    return f"Version {data.get('version')} {verdict} the gate", f"{held} of {count(len(rules), 'rule')} held"


def _signing_key(data: Data) -> Told:
    endorsed = "" if data.get("endorsement") else ", without its signature"
    replaced = f"replaces {short(data.get('replaces'))}{endorsed}" if data.get("replaces") else ""
    return f"Signing key {short(data.get('key_id'))} came into use", replaced


def _certified(data: Data) -> Told:
    facts = (f"digest {short(data.get('digest'))}", f"key {short(data.get('key_id'))}")
    return f"Certificate {data.get('name')} signed", _line(facts)


def _erased(data: Data) -> Told:
    stores = data.get("objects")
    outcomes = [found for found in stores.values() if isinstance(found, Mapping)] if isinstance(stores, Mapping) else []
    removed = sum(found.get("removed", 0) for found in outcomes)
    kept = sum(found.get("kept", 0) for found in outcomes)
    facts = (f"{count(removed, 'object')} removed", f"{kept} kept", f"receipt {short(data.get('receipt_digest'))}")
    return f"Data of {count(len(_items(data.get('request_ids'))), 'request')} erased", _line(facts)


def _promoted(data: Data) -> Told:
    forced = data.get("forced") is not False
    facts = (_from(data), f"reason: {data.get('reason')}" if forced else "")
    return f"Version {data.get('version')} promoted" + (" by force, past its gate" if forced else ""), _line(facts)


def _rolled_back(data: Data) -> Told:
    return f"Rolled back to version {data.get('version')}", _from(data)


def _from(data: Data) -> str:
    before = data.get("from_version")
    return _line((f"by {data.get('by')}", "" if before is None else f"version {before} served before"))


def _line(facts: Iterable[str]) -> str:
    return "; ".join(fact for fact in facts if fact)


def _reason(data: Data) -> str:
    return f"reason: {data.get('reason')}"


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


_TELLERS: dict[str, tuple[Topic, Callable[[Data], Told]]] = {
    "received": ("request", _received),
    "acknowledged": ("request", _acknowledged),
    "extended": ("request", _extended),
    "refused": ("request", _refused),
    "withdrawn": ("request", _withdrawn),
    "resolved": ("model", _resolved),
    "unlearned": ("model", _unlearned),
    "evaluated": ("model", _evaluated),
    "registered": ("model", _registered),
    "gated": ("gate", _gated),
    "signing_key": ("gate", _signing_key),
    "certified": ("gate", _certified),
    "erased": ("request", _erased),
    "promoted": ("gate", _promoted),
    "rolled_back": ("gate", _rolled_back),
}
