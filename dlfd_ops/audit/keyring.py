"""The signing keys of a repository: one private key in use, every public key that ever was.

Which key is in use says the ledger: the newest ``signing_key`` event. A key signs from its own event up to the event of
the key that replaces it, so a private key that leaked signs nothing more once it is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.facts import KeyInUse, read
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import (
    PublicKey,
    SigningKey,
    key_from_environment,
    read_private,
    read_public,
    signing_key_source,
)
from dlfd_ops.errors import BadInput
from dlfd_ops.files import create_secret, locked, private_folder, write_bytes

SIGNING_KEY_FILE = Path(".dlfd/signing_key.pem")
PUBLIC_KEYS = Path("audit/keys")
LOCK_SECONDS = 120.0
"""Longest wait for another command that changes the key."""


@dataclass(frozen=True)
class Rotation:
    """One key took the place of another.

    Attributes:
        key_id: the key that signs from now on.
        replaces: the one before.
        endorsed: whether the one before signed it, too.
    """

    key_id: str
    replaces: str
    endorsed: bool


class Keyring:
    """The keys of one repository.

    Args:
        root: the repository.
        ledger: its ledger, where each key is recorded.
    """

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self._file = root / SIGNING_KEY_FILE
        self._next = self._file.with_name(f"next_{self._file.name}")
        self._folder = root / PUBLIC_KEYS
        self._ledger = ledger

    @property
    def source(self) -> str:
        """Where the private key comes from; says nothing about the key."""
        return signing_key_source(SIGNING_KEY_FILE)

    def signing_key(self) -> SigningKey:
        """Return the key in use; the first use makes, publishes and records it.

        Raises:
            BadInput: the repository's key is not at hand, another one is, or it can't be read or made.
        """
        with self._locked():
            current = self.current()
            key = self._held(current)
            if key is None:
                raise BadInput(
                    "the key that signs certificates must be at hand",
                    received=f"no {self.source} for key id {current}",
                    remedy=f"restore it from its backup; if it is lost: dlfd-ops key rotate --lost ({_PAGE})",
                )
            if current is None:
                self._enter(key)
            elif key.public.key_id != current:
                raise BadInput(
                    "certificates must be signed with the repository's key",
                    received=f"key id {key.public.key_id} from {self.source}, and {current} is in use",
                    remedy=f"restore that key, or replace it with: dlfd-ops key rotate ({_PAGE})",
                )
            self._publish(key.public)
            return key

    def rotate(self, *, old_key: Path | None = None, lost: bool = False) -> Rotation:
        """Replace the key in use: by a new one, or by the other one that the environment holds.

        Both keys sign the succession, so whoever trusts one of them can follow to the other. A rotation that was
        interrupted is completed instead of starting a second one. The file of the private key that was replaced is
        gone; its public key stays.

        Args:
            old_key: file of the key in use, where it lies elsewhere than the repository keeps it.
            lost: go without its signature where it is not at hand; its successor is a stranger to who trusted it.

        Raises:
            BadInput: no key is in use yet, it is not at hand, or the environment holds it or one before it.
        """
        with self._locked():
            current = self.current()
            if current is None:
                raise BadInput(
                    "there must be a signing key to replace",
                    received="none in the ledger yet",
                    remedy="run the pipeline: its evaluate stage makes the first key",
                )
            if self._finish(current):
                entered = _uses(self._ledger.events())[-1].data
                return Rotation(current, str(entered["replaces"]), entered.get("endorsement") is not None)
            given = self._given(current)
            replaced = self._replaced(current, old_key, lost=lost)
            key = given or self._made()
            self._succeed(key, current, replaced)
            self._finish(key.public.key_id)
            return Rotation(key.public.key_id, current, replaced is not None)

    def current(self) -> str | None:
        """Return the id of the key in use, None before the first signature."""
        uses = _uses(self._ledger.events())
        return str(uses[-1].data["key_id"]) if uses else None

    def public_keys(self) -> dict[str, PublicKey]:
        """Return every published key by its id.

        Raises:
            BadInput: a file is no key, or bears another name than its id.
        """
        found = {}
        for path in sorted(self._folder.glob("*.pem")):
            key = read_public(path)
            if path.stem != key.key_id:
                raise BadInput(
                    f"{PUBLIC_KEYS}/{path.name[:80]!r} must be named by its key's id",
                    received=f"the key {key.key_id}",
                    remedy="restore it from git",
                )
            found[key.key_id] = key
        return found

    def _held(self, current: str | None) -> SigningKey | None:
        """Return the private key at hand; without any key in use, a new one."""
        key = key_from_environment()
        if key is not None:
            return key
        if current is None:
            create_secret(self._file, SigningKey.generate().pem())
        else:
            self._finish(current)
        return read_private(self._file) if self._file.exists() else None

    def _finish(self, current: str) -> bool:
        """Put a successor that is recorded in its place: the last step of a rotation, whenever it was killed."""
        finishing = self._next.exists() and read_private(self._next).public.key_id == current
        if finishing:
            self._next.replace(self._file)
        return finishing

    def _replaced(self, current: str, old_key: Path | None, *, lost: bool) -> SigningKey | None:
        """Return the private key in use, which is to sign its successor; None where it is lost."""
        key = self._at_hand(old_key, lost=lost)
        if key is not None and key.public.key_id == current:
            return key
        if old_key is not None:
            raise BadInput(
                "--old-key must be the file of the signing key in use",
                received="another key (not shown)",
                remedy=f"give that of the key id {current}",
            )
        if lost:
            return None
        raise BadInput(
            "the signing key in use must sign the one that replaces it",
            received=f"no private key of {current} at hand",
            remedy="name its file with --old-key; if it is lost: --lost, and tell the auditors the new id",
        )

    def _at_hand(self, old_key: Path | None, *, lost: bool) -> SigningKey | None:
        """Return the private key in the file given or in the repository's own, whichever key it is."""
        if old_key is not None:
            return read_private(old_key)
        if not self._file.exists():
            return None
        try:
            return read_private(self._file)
        except BadInput:
            if lost:
                return None
            raise

    def _made(self) -> SigningKey:
        """Return a new private key, or the one that an interrupted rotation made; its file waits for its event."""
        create_secret(self._next, SigningKey.generate().pem())
        return read_private(self._next)

    def _given(self, current: str) -> SigningKey | None:
        """Return the key of the environment, if there is one: none that is or was in use."""
        key = key_from_environment()
        used = {str(use.data["key_id"]) for use in _uses(self._ledger.events())}
        if key is not None and key.public.key_id in used:
            raise BadInput(
                f"{self.source} must hold a new key before the old one is replaced",
                received="the key in use" if key.public.key_id == current else "a key that was replaced before",
                remedy="make one with `openssl genpkey -algorithm ed25519`, and set it there",
            )
        return key

    def _succeed(self, key: SigningKey, current: str, replaced: SigningKey | None) -> None:
        key_id = key.public.key_id
        endorsement = replaced.sign_succession(key_id=key_id, replaced=current) if replaced else None
        acceptance = key.sign_succession(key_id=key_id, replaced=current)
        self._enter(key, replaces=current, endorsement=endorsement, acceptance=acceptance)

    def _enter(self, key: SigningKey, **succession: str | None) -> None:
        facts = {"replaces": None, "endorsement": None, "acceptance": None}
        self._publish(key.public)
        self._ledger.append("signing_key", {"key_id": key.public.key_id, **facts, **succession})

    def _publish(self, key: PublicKey) -> None:
        path = self._folder / f"{key.key_id}.pem"
        if not path.exists():
            write_bytes(path, key.pem())

    def _locked(self) -> AbstractContextManager[None]:
        lock = private_folder(self._file.parent) / "signing.lock"
        return locked(lock, seconds=LOCK_SECONDS, rule="one command at a time uses the signing key")


def in_use_at(events: Sequence[Event], seq: int) -> str | None:
    """Return the id of the key that was in use when event ``seq`` was recorded."""
    return next((str(use.data["key_id"]) for use in reversed(_uses(events)) if use.seq < seq), None)


def _uses(events: Sequence[Event]) -> list[Event]:
    uses = [event for event in events if event.kind == "signing_key"]
    for use in uses:
        read(use, KeyInUse)  # refuses one that states something else
    return uses


_PAGE = "docs/certificates.md"
