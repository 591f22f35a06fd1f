"""Comparing certificates and the models that MLflow holds with the ledger."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlfd_ops.audit.certificates import CERTIFICATES, Signed, read_signed, version_certificate
from dlfd_ops.audit.certifying import SERVED_FILE, model_statement, registration_of, request_statement
from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence, versions, weights_gone
from dlfd_ops.audit.facts import Certified
from dlfd_ops.audit.findings import MISSING, Finding, Verification, compare_values
from dlfd_ops.audit.keyring import in_use_at
from dlfd_ops.audit.signing import PublicKey
from dlfd_ops.audit.statement import ModelStatement, RequestStatement
from dlfd_ops.deletion.status import request_statuses
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import DlfdError
from dlfd_ops.tracking.serving import served_model
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import CERTIFICATE_TAG, read_version
from dlfd_ops.workflows.audit_keys import compare_successions, read_public_keys
from dlfd_ops.workflows.layout import Layout

CERTIFIED_KINDS = ("certified", "erased")
"""Kinds of events that a certificate is composed from beside the evidence of its version."""


def compare_certificates(layout: Layout, events: Sequence[Event]) -> Verification:
    """Compare every certificate with the ledger; MLflow is not read.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    certificates, result = _open_all(layout, events, _newest(events))
    return result + _compare_unrecorded(layout, _newest(events)) + _compare_content(events, certificates)


def compare_certificate(layout: Layout, events: Sequence[Event], model_name: str, version: int) -> Verification:
    """Compare the certificate of one version, and the succession of the keys, with the ledger; it must be there.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    path = version_certificate(model_name, version)
    told = {name: event for name, event in _newest(events).items() if name == path.stem}
    if not told:
        return Verification(findings=(Finding(str(path), "a certificate", MISSING),), checked=(str(path),))
    certificates, result = _open_all(layout, events, told)
    result += compare_successions(events, read_public_keys(layout)[0])
    return result + _compare_content(events, certificates)


def compare_served(layout: Layout, events: Sequence[Event]) -> Verification:
    """Compare what MLflow holds of every certified version with the digests that were signed.

    A certificate that can't be read is left out: :func:`compare_certificates` names it.

    Raises:
        BadInput: an event lacks a fact of its kind, or the MLflow store does not answer.
    """
    opened = _open_all(layout, events, _newest(events))[0].values()
    certificates = [(one, one.statement) for one in opened if isinstance(one.statement, ModelStatement)]
    if not certificates:
        return Verification()
    store, gone = open_store(layout.root), weights_gone(events)
    return sum((_compare_model_in(store, signed, said, gone) for signed, said in certificates), Verification())


def _newest(events: Sequence[Event]) -> dict[str, Event]:
    return {event.data["name"]: event for event in events if event.kind == "certified"}


def _open_all(
    layout: Layout, events: Sequence[Event], told: Mapping[str, Event]
) -> tuple[dict[str, Signed], Verification]:
    """Return the certificates that are what the ledger says, by their paths, and what is wrong with the others."""
    keys, result = read_public_keys(layout)
    certificates, again = {}, _told_again(events)
    for name, event in told.items():
        what = f"{CERTIFICATES}/{name}.json"
        outcome = _open(layout, what, event, events, keys)
        if name in again and not isinstance(outcome, Finding):
            outcome = _replayed(what)
        if isinstance(outcome, Finding):
            result += Verification(findings=(outcome,), checked=(what,))
        else:
            certificates[what] = outcome
    return certificates, result


def _told_again(events: Sequence[Event]) -> set[str]:
    """Return the names whose newest certificate had been replaced by another one before."""
    digests: dict[str, list[str]] = {}
    for event in events:
        if event.kind == "certified":
            digests.setdefault(str(event.data["name"]), []).append(str(event.data["digest"]))
    return {name for name, told in digests.items() if told[-1] in told[:-1]}


def _replayed(what: str) -> Finding:
    # One that says the same again names a later position in the ledger, and so is another file.
    return Finding(what, "a certificate that none has replaced", "one that was replaced before")


def _compare_unrecorded(layout: Layout, newest: Mapping[str, Event]) -> Verification:
    found = sorted(path.stem for path in (layout.root / CERTIFICATES).glob("*.json"))
    return Verification(
        findings=tuple(
            Finding(f"{CERTIFICATES}/{name}.json", "a certificate that the ledger names", "an unknown one")
            for name in found
            if name not in newest
        )
    )


def _open(
    layout: Layout, what: str, event: Event, events: Sequence[Event], keys: Mapping[str, PublicKey]
) -> Signed | Finding:
    """Return the certificate that an event is about, or what is wrong with its file."""
    recorded, path = Certified.model_validate(event.data), layout.root / what
    if Path(recorded.name).name != recorded.name:
        return Finding(f"{CERTIFICATES} of event {event.seq}", "the plain name of a file", "another text")
    if not path.is_file():
        return Finding(what, recorded.digest, MISSING)
    if (digest := sha256_file(path)) != recorded.digest:
        return Finding(what, recorded.digest, digest)
    try:
        signed = read_signed(path, keys, what=what)
    except DlfdError as error:
        return Finding(what, error.rule, error.received)
    wanted = in_use_at(events, event.seq)
    if wanted not in signed.key_ids:
        return Finding(f"{what} key", wanted or "a key that the ledger names", ", ".join(signed.key_ids))
    return signed


def _compare_content(events: Sequence[Event], certificates: Mapping[str, Signed]) -> Verification:
    """Compose every certificate again from the ledger and compare what it says."""
    if not certificates:
        return Verification()
    registered, statuses = versions(events), request_statuses(events)
    told = [event for event in events if event.kind in CERTIFIED_KINDS]
    result = Verification()
    for what, signed in certificates.items():
        statement = signed.statement
        try:
            if isinstance(statement, ModelStatement):
                result += _compare_model(what, statement, events, told, registered)
            elif isinstance(statement, RequestStatement):
                said = statement.predicate
                answer = certificates[str(version_certificate(said.model_name, said.version))]
                wanted = request_statement(told, statuses[said.request.request_id], answer, said.ledger)
                result += _compare_statement(what, wanted, statement, events)
        except DlfdError as error:
            result += Verification(findings=(Finding(what, error.rule, error.received),), checked=(what,))
        except LookupError:
            result += Verification(findings=(Finding(what, "what the ledger names", "another one"),), checked=(what,))
    return result


def _compare_model(
    what: str,
    statement: ModelStatement,
    events: Sequence[Event],
    told: Sequence[Event],
    registered: Sequence[VersionEvidence],
) -> Verification:
    model, position = statement.predicate.model, statement.predicate.ledger
    if what != str(version_certificate(model.name, model.version)):
        raise LookupError
    known = registration_of(statement)
    outcome = _compare_statement(
        what, model_statement(told, _version(registered, statement), known, position), statement, events
    )
    if outcome.findings:
        # Later events may have overtaken the certificate (the version was measured anew): those before it count too.
        before = events[: position.seq]
        version = _version(versions(before), statement)
        if version.gated != _version(registered, statement).gated:
            return outcome  # a verdict is certified with every change of it: an uncertified one was not the stage's
        wanted = model_statement(before, version, known, position)
        earlier = _compare_statement(what, wanted, statement, events)
        return outcome if earlier.findings else earlier
    return outcome


def _version(registered: Sequence[VersionEvidence], statement: ModelStatement) -> VersionEvidence:
    model = statement.predicate.model
    named = (model.name, model.version, model.store)
    return {(one.registered.model_name, one.registered.version, one.registered.store): one for one in registered}[named]


def _compare_statement(
    what: str,
    wanted: ModelStatement | RequestStatement,
    found: ModelStatement | RequestStatement,
    events: Sequence[Event],
) -> Verification:
    position = found.predicate.ledger
    head = events[position.seq - 1].hash if 0 < position.seq <= len(events) else MISSING
    expected = dict(_leaves(wanted.model_dump(mode="json", by_alias=True)))
    expected |= {"predicate.ledger.seq": position.seq, "predicate.ledger.head": head}
    return compare_values(what, expected, dict(_leaves(found.model_dump(mode="json", by_alias=True))))


def _compare_model_in(store: Store, signed: Signed, statement: ModelStatement, gone: Container[str]) -> Verification:
    model, wanted = statement.predicate.model, registration_of(statement)
    name = f"MLflow {model.name} version {model.version}"
    if model.store != store.description:
        elsewhere = f"{name}, its model: it is in {model.store}, and the store in use is {store.description}"
        return Verification(not_checked=(elsewhere,))
    version = read_version(store, model.name, model.version)
    if version is None:
        return Verification()  # that it is gone is found where its tags are compared
    if statement.subject[0].digest.sha256 in gone:  # that its files are gone too is checked with the stores
        return compare_values(name, {CERTIFICATE_TAG: signed.digest}, version.tags)
    served = served_model(store, model.name, model.version, SERVED_FILE)
    expected = {"served file": wanted.served_file, "model folder": wanted.served_folder, CERTIFICATE_TAG: signed.digest}
    found = {"served file": served.file, "model folder": served.folder} if served else {}
    return compare_values(name, expected, found | dict(version.tags))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested JSON, each with its dotted name; a list is a leaf."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
