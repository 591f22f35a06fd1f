"""Ed25519 keys: a public key and its id, the private key that signs certificates.

This key is not the secret key of the pseudonyms (:mod:`dlfd_ops.data.identity`): it says who vouches for a document,
and replacing it renames nobody.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from dlfd_ops.audit.envelope import PAYLOAD_TYPE, Envelope, pae, seal
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, read_secret

KEY_ENVIRONMENT = "DLFD_SIGNING_KEY"
KEY_FILE_ENVIRONMENT = "DLFD_SIGNING_KEY_FILE"
MAX_PEM_BYTES = 4096


@dataclass(frozen=True)
class PublicKey:
    """What checks signatures.

    Args:
        raw: the key's 32 bytes.
    """

    raw: bytes

    @property
    def key_id(self) -> str:
        """SHA-256 of the key in DER, 64 hex digits: ``openssl pkey -pubin -in KEY -outform DER | sha256sum``."""
        der = self._key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return sha256_bytes(der)

    def pem(self) -> bytes:
        """Return the key as a PEM file."""
        return self._key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def has_signed(self, envelope: Envelope) -> bool:
        """Return whether this key made the signature that bears its id."""
        message = pae(PAYLOAD_TYPE, envelope.content)
        return any(self._made(signed.raw, message) for signed in envelope.signatures if signed.keyid == self.key_id)

    def has_signed_succession(self, signature: str, *, key_id: str, replaced: str) -> bool:
        """Return whether this key made the signature, in base64, of one key replacing another."""
        try:
            raw = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        return self._made(raw, _succession(key_id, replaced))

    def _made(self, signature: bytes, message: bytes) -> bool:
        try:
            self._key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)


@dataclass(frozen=True)
class SigningKey:
    """What signs; never shown.

    Args:
        seed: the private key's 32 bytes.
    """

    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> SigningKey:
        """Return a new random key."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def public(self) -> PublicKey:
        """The public key."""
        return PublicKey(self._key().public_key().public_bytes_raw())

    def sign(self, payload: bytes) -> Envelope:
        """Return the signed envelope of a statement; the same payload gives the same bytes."""
        return seal(payload, self.public.key_id, self._key().sign(pae(PAYLOAD_TYPE, payload)))

    def sign_succession(self, *, key_id: str, replaced: str) -> str:
        """Return this key's signature, in base64, of one key replacing another; it is one of the two."""
        return base64.b64encode(self._key().sign(_succession(key_id, replaced))).decode()

    def pem(self) -> str:
        """Return the private key as PKCS #8 PEM: a secret."""
        return self._key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def _succession(key_id: str, replaced: str) -> bytes:
    """Return what both keys sign of a succession: one line, which openssl verifies; no envelope begins so."""
    return f"dlfd-ops signing key {key_id} replaces {replaced}\n".encode()


def signing_key_source(default: Path) -> str:
    """Return where the signing key comes from: the name of an environment variable, or the file ``default``."""
    return next((name for name in (KEY_ENVIRONMENT, KEY_FILE_ENVIRONMENT) if name in os.environ), str(default))


def key_from_environment() -> SigningKey | None:
    """Return the key of ``DLFD_SIGNING_KEY`` (PEM) or of the file that ``DLFD_SIGNING_KEY_FILE`` names, or None.

    Raises:
        BadInput: both or another thing than an unencrypted Ed25519 key is given, or others can read the file.
    """
    text, file = os.environ.get(KEY_ENVIRONMENT), os.environ.get(KEY_FILE_ENVIRONMENT)
    if text is not None and file is not None:
        raise BadInput(
            "the signing key must come from one place",
            received=f"both {KEY_ENVIRONMENT} and {KEY_FILE_ENVIRONMENT}",
            remedy="unset one of them",
        )
    if text is not None:
        return parse_private(text.encode("utf-8", "replace"), KEY_ENVIRONMENT)
    return None if file is None else read_private(Path(file))


def read_private(path: Path) -> SigningKey:
    """Read a private key file.

    Raises:
        BadInput: it is missing, others can read it, or it holds something else.
    """
    return parse_private(read_secret(path, max_bytes=MAX_PEM_BYTES), str(path))


def parse_private(content: bytes, where: str) -> SigningKey:
    """Read a private key from PEM.

    Raises:
        BadInput: it is something else; the content is not shown.
    """
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(
            f"{where} must hold an unencrypted Ed25519 private key in PEM",
            received="something else (not shown)",
            remedy="make one with: openssl genpkey -algorithm ed25519",
        )
    return SigningKey(key.private_bytes_raw())


def read_public(path: Path) -> PublicKey:
    """Read a public key file.

    Raises:
        BadInput: it is missing, too large, or no Ed25519 public key in PEM.
    """
    content = read_bounded(path, max_bytes=MAX_PEM_BYTES, what=path.name)
    try:
        key = load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(
            f"{path.name} must hold an Ed25519 public key in PEM",
            received="something else",
            remedy="give the file audit/keys/<key id>.pem that came with the certificate",
        )
    return PublicKey(key.public_bytes_raw())
