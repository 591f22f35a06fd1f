"""The secret key, and the keyed hashes by which people and photos are named downstream of the raw data.

A plain hash of a name or a photo can be found by trying candidates; an HMAC under a secret key can't. Whoever holds
the key can still link a known name or photo to its hash, so hashes are pseudonyms, not anonymous data.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from dlfd_ops.errors import BadInput
from dlfd_ops.files import create_secret, read_bounded, read_secret, write_text

KEY_FILE = Path(".dlfd/key")
KEY_ENVIRONMENT = "DLFD_SECRET_KEY"
KEY_ID_FILE = Path("deletion/key_id.txt")
MIN_KEY_BYTES = 32
_MAX_FILE_BYTES = 4096
_KEY_ID_DIGITS = 16


def composed(text: str) -> str:
    """Return ``text`` in Unicode's normal form C: one spelling of all that Unicode calls equivalent.

    An accented letter may be one code point, or a letter and its accent, as file systems and archives of macOS have it.
    """
    return unicodedata.normalize("NFC", text)


def canonical_name(raw: str) -> str:
    """Return a person's raw name as it is compared and hashed: composed, without white space around it."""
    return composed(raw).strip()


@dataclass(frozen=True)
class SecretKey:
    """The key of all keyed hashes of a repository.

    Args:
        content: at least 32 secret bytes; never shown.

    Raises:
        BadInput: fewer bytes.
    """

    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a key that is short enough to guess."""
        if len(self.content) < MIN_KEY_BYTES:
            raise BadInput(
                f"the secret key must hold at least {MIN_KEY_BYTES} bytes",
                received=f"{len(self.content)} bytes",
                remedy="make one with: python -c 'import secrets; print(secrets.token_hex(32))'",
            )

    @property
    def key_id(self) -> str:
        """The key's public name, 16 hex digits; says nothing about the key."""
        return hashlib.sha256(b"dlfd-ops key id:" + self.content).hexdigest()[:_KEY_ID_DIGITS]

    def sample_id(self, content: bytes) -> str:
        """Return the keyed hash of an image file's bytes, 64 hex digits."""
        return self._keyed_hash(b"sample:" + content)

    def subject_key(self, raw: str) -> str:
        """Return the keyed hash of a person's raw name, 64 hex digits; the same for every spelling of it."""
        # surrogatepass: a folder name that is no UTF-8 reaches us with surrogates and must still have a hash.
        return self._keyed_hash(b"subject:" + canonical_name(raw).encode("utf-8", "surrogatepass"))

    def object_key(self, name: str) -> str:
        """Return the keyed hash by which a receipt names a stored object, 64 hex digits."""
        return self._keyed_hash(b"object:" + name.encode("utf-8", "surrogatepass"))

    def pad(self, purpose: str) -> bytes:
        """Return 32 bytes that hide something, the same for the same purpose; use a purpose for one content only."""
        return bytes.fromhex(self._keyed_hash(b"pad:" + purpose.encode()))

    def _keyed_hash(self, message: bytes) -> str:
        return hmac.new(self.content, message, hashlib.sha256).hexdigest()


def load_key(path: Path = KEY_FILE) -> SecretKey:
    """Return the key from the environment variable ``DLFD_SECRET_KEY``, else from ``path``.

    Raises:
        BadInput: there is no key, it is no hex or too short, or the file can be read by others.
    """
    from_environment = os.environ.get(KEY_ENVIRONMENT)
    if from_environment is not None:
        return _parse(from_environment, KEY_ENVIRONMENT)
    if not path.is_file():
        raise BadInput(
            "the secret key must be there",
            received=f"no {path} and no {KEY_ENVIRONMENT}",
            remedy=f"restore {path} from its backup, or set {KEY_ENVIRONMENT}",
        )
    content = read_secret(path, max_bytes=_MAX_FILE_BYTES)
    return _parse(content.decode("ascii", "replace"), str(path))


def load_or_create_key(path: Path = KEY_FILE) -> SecretKey:
    """Return the key as :func:`load_key` does; where there is none, first create ``path`` with 32 random bytes.

    Of two processes that create it at once, one wins and both return its key.

    Raises:
        BadInput: as :func:`load_key`, or the folder can't be written.
    """
    if KEY_ENVIRONMENT not in os.environ and not path.exists():
        create_secret(path, secrets.token_hex(MIN_KEY_BYTES) + "\n")
    return load_key(path)


def publish_key_id(key: SecretKey, path: Path = KEY_ID_FILE) -> None:
    """Write the key's public id to ``path`` unless one stands there."""
    if not path.exists():
        write_text(path, f"{key.key_id}\n")


def read_key_id(path: Path = KEY_ID_FILE) -> str:
    """Return the published key id.

    Raises:
        BadInput: the file is missing or holds something else.
    """
    content = read_bounded(path, max_bytes=_MAX_FILE_BYTES, what=str(path)).decode("ascii", "replace").strip()
    if len(content) != _KEY_ID_DIGITS or not set(content) <= set("0123456789abcdef"):
        raise BadInput(
            f"{path} must hold a key id of {_KEY_ID_DIGITS} hex digits",
            received=f"{len(content)} other characters",
            remedy="restore it from git",
        )
    return content


def check_key_id(key: SecretKey, expected: str, where: str) -> None:
    """Check that ``where`` was made with ``key``.

    Raises:
        BadInput: it was made with another key; both ids are named.
    """
    if key.key_id != expected:
        raise BadInput(
            f"{where} must have been made with the secret key in use",
            received=f"key id {expected} there, {key.key_id} here",
            remedy=f"restore that key to {KEY_FILE} or {KEY_ENVIRONMENT}",
        )


def project_key(key_file: Path = KEY_FILE, key_id_file: Path = KEY_ID_FILE) -> SecretKey:
    """Return the key that belongs to this repository, creating and publishing one only where none was ever published.

    A published id without its key means a lost key: a new one would silently rename every person.

    Raises:
        BadInput: as :func:`load_key`, or the key is not the one published.
    """
    if not key_id_file.exists():
        key = load_or_create_key(key_file)
        publish_key_id(key, key_id_file)
        return key
    key = load_key(key_file)
    check_key_id(key, read_key_id(key_id_file), str(key_id_file))
    return key


def _parse(text: str, where: str) -> SecretKey:
    try:
        content = bytes.fromhex(text.strip())
    except ValueError:
        raise BadInput(
            f"{where} must hold the secret key as hex digits",
            received="something else (not shown)",
            remedy="restore it from its backup",
        ) from None
    return SecretKey(content)
