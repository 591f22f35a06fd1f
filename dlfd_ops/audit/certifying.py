"""From the ledger to what a certificate says: pure, so that a verifier composes the same statement and compares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from pydantic import ValidationError

from dlfd_ops.audit.certificates import Signed, recorded_digest, version_certificate
from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence
from dlfd_ops.audit.facts import Erased, facts
from dlfd_ops.audit.statement import (
    DataVersion,
    Erasure,
    FileDigest,
    FileSubject,
    FolderDigest,
    FolderSubject,
    ForgetListFacts,
    Gate,
    Kept,
    LedgerPosition,
    ModelCertificate,
    ModelStatement,
    ModelVersion,
    Parent,
    RequestCertificate,
    RequestFacts,
    RequestStatement,
    Rule,
    StoreErasure,
    Unlearning,
)
from dlfd_ops.deletion.status import RequestStatus
from dlfd_ops.errors import BadInput, CheckFailed

WEIGHTS = "models/unlearned/weights.safetensors"
SERVED_FILE = "data/model.pt2"

Fact = TypeVar("Fact")


@dataclass(frozen=True)
class Registration:
    """What a certificate says beside the ledger; taken when the version is first certified, and kept from then on.

    Attributes:
        served_file: SHA-256 of the file that MLflow loads.
        served_folder: ``dirHash`` of the whole model in MLflow.
        raw_digest: DVC's digest of the raw data; None where DVC records none.
        parent_version: number of the version that the unlearning started from.
        evidence_digest: SHA-256 of the signed evaluation's file.
    """

    served_file: str
    served_folder: str
    raw_digest: str | None
    parent_version: int
    evidence_digest: str


@contextmanager
def _from_the_ledger() -> Iterator[None]:
    """Turn a fact that no certificate can hold into one line; the ledger may come from anywhere."""
    try:
        yield
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadInput(
            "the ledger must hold facts that a certificate can state",
            received=f"a {where} that breaks the format",
            remedy="run `dlfd-ops audit verify`, and restore the ledger from git",
        ) from error


@_from_the_ledger()
def model_statement(
    events: Sequence[Event], version: VersionEvidence, registration: Registration, position: LedgerPosition
) -> ModelStatement:
    """Return the statement about a version.

    Args:
        events: the ledger; only certificates and erasures are read in it.
        version: the events of its making.
        registration: what the ledger does not hold.
        position: where the ledger ends.

    Raises:
        BadInput: the ledger does not hold every event of its making, or a fact that breaks the format.
    """
    registered, name = version.registered, _name(version)
    resolved = _told(version.resolved, name, "forget_list")
    unlearned = _told(version.unlearned, name, "unlearn")
    evaluated = _told(version.evaluated, name, "evaluate")
    gated = _told(version.gated, name, "register")
    parent_file = version_certificate(registered.model_name, registration.parent_version)
    served = f"MLflow {name}"
    return ModelStatement(
        subject=(
            FileSubject(name=WEIGHTS, digest=FileDigest(sha256=registered.weights_digest)),
            FileSubject(name=f"{served}: {SERVED_FILE}", digest=FileDigest(sha256=registration.served_file)),
            FolderSubject(name=served, digest=FolderDigest(dir_hash=registration.served_folder)),
        ),
        predicate=ModelCertificate(
            model=ModelVersion(
                name=registered.model_name,
                version=registered.version,
                run_id=registered.run_id,
                store=registered.store,
                registered_at=version.at,
            ),
            request_ids=registered.request_ids,
            forget_list=ForgetListFacts(digest=resolved.forget_list_digest, count=resolved.forget_count),
            data_before=DataVersion(manifest_digest=resolved.manifest_digest, raw_digest=registration.raw_digest),
            manifest_after=_manifest_after(events, registered.request_ids),
            unlearning=Unlearning(
                method=unlearned.method,
                params_digest=unlearned.params_digest,
                git_commit=unlearned.git_commit,
                git_dirty=registered.provenance.get("dlfd.git_dirty", "unknown"),
                dvc_lock_digest=registered.provenance.get("dlfd.dvc_lock_digest", "unknown"),
            ),
            parent=Parent(
                version=registration.parent_version,
                weights_digest=unlearned.parent_weights_digest,
                certificate_digest=recorded_digest(events, parent_file.stem),
            ),
            evidence_digest=registration.evidence_digest,
            metrics=evaluated.metrics,
            gate=Gate(
                passed=gated.passed,
                rules=tuple(
                    Rule(rule=rule.rule, value=rule.value, limit=rule.limit, passed=rule.passed) for rule in gated.rules
                ),
            ),
            erasures=_erasures(events, registered.request_ids),
            ledger=position,
        ),
    )


def registration_of(statement: ModelStatement) -> Registration:
    """Return what a statement says beside the ledger; the inverse of :func:`model_statement` for these facts."""
    _, file, folder = statement.subject
    said = statement.predicate
    return Registration(
        served_file=file.digest.sha256,
        served_folder=folder.digest.dir_hash,
        raw_digest=said.data_before.raw_digest,
        parent_version=said.parent.version,
        evidence_digest=said.evidence_digest,
    )


def about_version(certificate: Signed) -> ModelStatement:
    """Return what a version's certificate states.

    Raises:
        CheckFailed: it is the certificate of something else.
    """
    if not isinstance(certificate.statement, ModelStatement):
        raise CheckFailed(
            "the certificate of a model version must be about one",
            received="another signed statement under its name",
            remedy="restore audit/certificates from git",
        )
    return certificate.statement


@_from_the_ledger()
def request_statement(
    events: Sequence[Event], status: RequestStatus, certificate: Signed, position: LedgerPosition
) -> RequestStatement:
    """Return the statement about a request.

    Args:
        events: the ledger; only what was erased is read in it.
        status: of the request.
        certificate: that of the version which fulfilled it, as read.
        position: where the ledger ends.

    Raises:
        CheckFailed: it is the certificate of something else, the request is not fulfilled, or the version no longer
            passes the gate.
    """
    model = about_version(certificate)
    said = model.predicate
    fulfilled_by(status)
    if not said.gate.passed:
        raise _not_fulfilled(status.request_id, "answered by a version that no longer passes its gate")
    return RequestStatement(
        subject=model.subject,
        predicate=RequestCertificate(
            request=RequestFacts(
                request_id=status.request_id,
                target="subject" if status.target == "subject" else "samples",
                legal_basis=status.legal_basis,
                received_at=status.received_at,
                due_at=status.due_at,
                fulfilled_at=status.closed_at or "",
                late=status.late(date.max),
            ),
            model_name=said.model.name,
            version=said.model.version,
            certificate_digest=certificate.digest,
            metrics=said.metrics,
            gate=said.gate,
            erasures=_erasures(events, (status.request_id,)),
            ledger=position,
        ),
    )


def end_of(events: Sequence[Event]) -> LedgerPosition:
    """Return where the ledger ends."""
    return LedgerPosition(seq=events[-1].seq, head=events[-1].hash)


def fulfilled_by(status: RequestStatus) -> tuple[str, int]:
    """Return name and version of the model that fulfilled a request.

    Raises:
        CheckFailed: the request is not fulfilled.
    """
    if status.state != "fulfilled" or status.model_name is None or status.version is None:
        raise _not_fulfilled(status.request_id, status.state)
    return status.model_name, status.version


def _not_fulfilled(request_id: str, received: str) -> CheckFailed:
    closed = received in ("refused", "withdrawn")
    return CheckFailed(
        "a certificate is given for a request that is fulfilled",
        received=f"{request_id}, {received}",
        remedy="`dlfd-ops request show` says why it is closed" if closed else "run `dvc repro`",
    )


def _erased(events: Sequence[Event], request_ids: Sequence[str]) -> list[tuple[str, Erased]]:
    """Return when and what for every erasure that is about one of the requests."""
    wanted = set(request_ids)
    return [(at, fact) for at, fact in facts(events, "erased", Erased) if wanted.intersection(fact.request_ids)]


def _erasures(events: Sequence[Event], request_ids: Sequence[str]) -> tuple[Erasure, ...]:
    return tuple(
        Erasure(
            at=at,
            requests=len(fact.request_ids),
            receipt_digest=fact.receipt_digest,
            stores=tuple(
                StoreErasure(store=store, removed=outcomes.get("removed", 0), kept=outcomes.get("kept", 0))
                for store, outcomes in sorted(fact.objects.items())
            ),
            kept=tuple(Kept(ground=ground, objects=number) for ground, number in sorted(fact.kept.items())),
            not_reached=fact.not_reached,
        )
        for at, fact in _erased(events, request_ids)
    )


def _manifest_after(events: Sequence[Event], request_ids: Sequence[str]) -> str | None:
    found = _erased(events, request_ids)
    return found[-1][1].manifest_after if found else None


def _told(fact: Fact | None, version: str, stage: str) -> Fact:
    if fact is None:
        raise BadInput(
            f"the ledger must hold every event of the making of {version} before it is certified",
            received=f"none of the {stage} stage",
            remedy=f"run: dvc repro -f -s {stage}",
        )
    return fact


def _name(version: VersionEvidence) -> str:
    return f"{version.registered.model_name} version {version.registered.version}"
