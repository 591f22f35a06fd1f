"""Issuing certificates: of a version when it is registered and judged, of a request when somebody asks for it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from dlfd_ops.audit.certificates import EVIDENCE, Issuer, Signed, request_certificate, version_certificate
from dlfd_ops.audit.certifying import (
    SERVED_FILE,
    Registration,
    about_version,
    end_of,
    fulfilled_by,
    model_statement,
    registration_of,
    request_statement,
)
from dlfd_ops.audit.envelope import MAX_ENVELOPE_BYTES
from dlfd_ops.audit.evidence import VersionEvidence, versions
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.letter import write_letter
from dlfd_ops.audit.statement import RequestStatement
from dlfd_ops.deletion.status import RequestStatus, request_statuses
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import BadInput, DlfdError
from dlfd_ops.files import read_bounded, write_text
from dlfd_ops.params import Params
from dlfd_ops.tracking.provenance import UNKNOWN, data_digest
from dlfd_ops.tracking.serving import served_model
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import RegisteredVersion, read_version, record_certificate
from dlfd_ops.workflows.audit_files import open_ledger
from dlfd_ops.workflows.intake import status_of
from dlfd_ops.workflows.layout import Layout

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestCertified:
    """A request's certificate and letter.

    Attributes:
        statement: what the certificate says.
        digest: SHA-256 of its file.
        files: the certificate, and the letter as page and as text, relative to the repository.
    """

    statement: RequestStatement
    digest: str
    files: tuple[Path, Path, Path]


def certify_version(
    params: Params, layout: Layout, store: Store, version: RegisteredVersion, parent_version: int
) -> str:
    """Issue the certificate of a version whose registration and verdict stand in the ledger.

    What MLflow holds is digested when the first certificate is issued and never again: registering anew can't launder
    a model that was changed in the store.

    Args:
        params: ``prepare.root`` says where the raw data lie.
        layout: of the repository.
        store: the MLflow store.
        version: as registered.
        parent_version: the version that the unlearning started from.

    Returns:
        SHA-256 of the certificate's file.

    Raises:
        BadInput: the ledger does not hold every event of its making, the store does not answer, the model's files are
            missing from it, or the signing key is not at hand.
        CheckFailed: the ledger's chain is broken, the certificate that stands there was tampered with, or one was lost.
    """
    ledger = Ledger(layout.ledger)
    issuer = Issuer(layout.root, ledger)
    path = version_certificate(version.model_name, version.version)
    events = ledger.trusted()
    evidence = _evidence_of(version, versions(events))
    standing = issuer.standing(path)
    known = None if standing is None else about_version(standing)
    if known is not None and known.predicate.model.run_id == version.run_id:
        registration = replace(registration_of(known), evidence_digest=_evidence_digest(layout))
    else:
        registration = _registration(params, layout, store, version, parent_version)
    statement = model_statement(events, evidence, registration, end_of(events))
    return issuer.issue(path, statement, evidence.registered.request_ids)[1]


def is_certified(layout: Layout, version: RegisteredVersion) -> bool:
    """Return whether a certificate stands for exactly this version, which names what MLflow held of it.

    Raises:
        CheckFailed: the certificate that stands there was tampered with.
    """
    issuer = Issuer(layout.root, Ledger(layout.ledger))
    standing = issuer.standing(version_certificate(version.model_name, version.version))
    return standing is not None and about_version(standing).predicate.model.run_id == version.run_id


def certify_request(request_id: str, root: Path = Path()) -> RequestCertified:
    """Issue the certificate of a fulfilled request, and write the letter to the person beside it.

    Run again it changes nothing, unless something new happened: an erasure, or another verdict on the version.
    Writes ``audit/certificates/<request id>.{json,html,txt}`` and the event ``certified``.

    Raises:
        BadInput: there is no such request, the version has no certificate, or the signing key is not at hand.
        CheckFailed: the ledger's chain is broken, the request is not fulfilled, or a certificate was tampered with or
            lost.
    """
    layout = Layout(root)
    ledger = open_ledger(layout)
    events = ledger.trusted()
    status = status_of(request_id, request_statuses(events))
    issuer = Issuer(root, ledger)
    path = request_certificate(request_id)
    statement = request_statement(events, status, _answer(issuer, status), end_of(events))
    statement, digest = issuer.issue(path, statement, [request_id])
    letter = write_letter(statement, path.name, digest)
    page, text = (path.with_suffix(f".{kind}") for kind in ("html", "txt"))
    write_text(root / page, letter.html)
    write_text(root / text, letter.text)
    return RequestCertified(statement, digest, (path, page, text))


def certify_again(layout: Layout, request_ids: Collection[str]) -> None:
    """Renew the certificates of requests, with their letters, and of the versions that forgot them.

    A request or version that can't be certified any more is left as it is, with a warning: ``audit verify`` names it.

    Raises:
        BadInput: the signing key is not at hand, or the MLflow store does not answer.
    """
    ledger = Ledger(layout.ledger)
    issuer, store = Issuer(layout.root, ledger), open_store(layout.root)
    for evidence in versions(ledger.events()):
        if set(request_ids).intersection(evidence.registered.request_ids):
            _certify_version_again(issuer, ledger, store, evidence)
    for request_id in sorted(request_ids):
        try:
            certify_request(request_id, layout.root)
        except DlfdError as error:
            _LOGGER.warning("no new certificate for %s: %s", request_id, error)


def _certify_version_again(issuer: Issuer, ledger: Ledger, store: Store, evidence: VersionEvidence) -> None:
    registered = evidence.registered
    path = version_certificate(registered.model_name, registered.version)
    try:
        standing = issuer.standing(path)
        if standing is None:
            return
        about, events = about_version(standing), ledger.events()
        if about.predicate.model.run_id != registered.run_id:
            return  # of a version with this number in another store, which took the place of this one's
        known = registration_of(about)
        statement = model_statement(events, evidence, known, end_of(events))
    except DlfdError as error:
        _LOGGER.warning("no new certificate for %s: %s", path.stem, error)
        return
    _, digest = issuer.issue(path, statement, registered.request_ids)
    version = read_version(store, registered.model_name, registered.version)
    if version is not None and registered.store == store.description:
        record_certificate(store, version, digest)


def _answer(issuer: Issuer, status: RequestStatus) -> Signed:
    model_name, version = fulfilled_by(status)
    path = version_certificate(model_name, version)
    found = issuer.standing(path)
    if found is None:
        raise BadInput(
            f"{path} must be there: it says how the request was fulfilled",
            received="no such file",
            remedy="restore it from git, or run: dvc repro -f -s register",
        )
    return found


def _registration(
    params: Params, layout: Layout, store: Store, version: RegisteredVersion, parent_version: int
) -> Registration:
    served = served_model(store, version.model_name, version.version, SERVED_FILE)
    if served is None:
        raise BadInput(
            f"MLflow must hold the model of {version.model_name} version {version.version}",
            received="a version without its files",
            remedy="restore its artifacts, or delete the version and run: dvc repro -f -s register",
        )
    raw = data_digest(layout.root, params.prepare.root)
    return Registration(
        served_file=served.file,
        served_folder=served.folder,
        raw_digest=None if raw == UNKNOWN else raw,
        parent_version=parent_version,
        evidence_digest=_evidence_digest(layout),
    )


def _evidence_digest(layout: Layout) -> str:
    return sha256_bytes(read_bounded(layout.evidence, max_bytes=MAX_ENVELOPE_BYTES, what=str(EVIDENCE)))


def _evidence_of(version: RegisteredVersion, found: list[VersionEvidence]) -> VersionEvidence:
    named = (version.model_name, version.version, version.run_id)
    return next(
        one
        for one in reversed(found)
        if (one.registered.model_name, one.registered.version, one.registered.run_id) == named
    )
