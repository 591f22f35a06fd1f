"""Checking a certificate with nothing but the file, a public key and what it is about: no repository, no MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.audit.certificates import Signed, read_signed
from dlfd_ops.audit.signing import read_public
from dlfd_ops.audit.statement import FileSubject
from dlfd_ops.digest import dir_hash, sha256_file
from dlfd_ops.errors import BadInput, CheckFailed


@dataclass(frozen=True)
class CheckedFile:
    """A file or folder that the certificate is about.

    Attributes:
        path: as it was given.
        subject: what the certificate calls it.
        digest: its SHA-256, or the ``dirHash`` of a folder.
    """

    path: str
    subject: str
    digest: str


@dataclass(frozen=True)
class CertificateCheck:
    """A certificate whose signature holds, and the files that are what it says.

    Attributes:
        signed: the certificate.
        files: one entry for each file that was given.
    """

    signed: Signed
    files: tuple[CheckedFile, ...]


def check_certificate(certificate: Path, key: Path, files: Sequence[Path] = ()) -> CertificateCheck:
    """Check the signature of a certificate, and that each file is one of its subjects.

    Args:
        certificate: the file.
        key: public key in PEM; the caller vouches for it.
        files: weight file, served model file, or the folder of the model as MLflow holds it.

    Raises:
        BadInput: one of them is missing or is no such file.
        CheckFailed: the key has not signed it, or a file is none of its subjects.
    """
    public = read_public(key)
    signed = read_signed(certificate, {public.key_id: public}, what=certificate.name)
    return CertificateCheck(signed, tuple(_subject_of(path, signed) for path in files))


def _subject_of(path: Path, signed: Signed) -> CheckedFile:
    digest = _digest(path)
    for subject in signed.statement.subject:
        stated = subject.digest.sha256 if isinstance(subject, FileSubject) else subject.digest.dir_hash
        if isinstance(subject, FileSubject) == path.is_file() and stated == digest:
            return CheckedFile(str(path), subject.name, digest)
    raise CheckFailed(
        f"{path.name} must be one of the things that the certificate is about",
        received=f"{'sha256' if path.is_file() else 'dirHash'} {digest}, which it does not name",
        remedy="give the unchanged file, or the certificate of the version that it belongs to",
    )


def _digest(path: Path) -> str:
    if path.is_file():
        return sha256_file(path)
    try:
        if path.is_dir():
            return dir_hash(path)
        received = "no such file or folder"
    except ValueError as error:
        received = str(error)
    raise BadInput(f"{path.name} must be a file or a folder that can be digested", received=received, remedy="check it")
