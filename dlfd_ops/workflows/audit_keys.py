"""Comparing the public keys with the ledger, and following the signing keys from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import KeyInUse, facts
from dlfd_ops.audit.keyring import PUBLIC_KEYS, Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import PublicKey
from dlfd_ops.audit.timeline import short
from dlfd_ops.audit.verification import MISSING, Finding, Verification
from dlfd_ops.errors import DlfdError
from dlfd_ops.workflows.layout import Layout


def read_public_keys(layout: Layout) -> tuple[Mapping[str, PublicKey], Verification]:
    """Return the public keys by their ids; none where one can't be read, with what is wrong."""
    try:
        return Keyring(layout.root, Ledger(layout.ledger)).public_keys(), Verification()
    except DlfdError as error:
        return {}, Verification(findings=(Finding(str(PUBLIC_KEYS), error.rule, error.received),))


def compare_keys(layout: Layout, events: Sequence[Event], expected_key: str | None = None) -> Verification:
    """Compare the public keys with those that the ledger names, and each succession with the signature of it.

    Args:
        layout: of the repository.
        events: of the ledger.
        expected_key: the id of a key that was had from the company; the key in use must be that one, or have followed
            from it with the signature of every key that was replaced.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    used = {fact.key_id for _, fact in facts(events, "signing_key", KeyInUse)}
    published = {path.stem for path in (layout.root / PUBLIC_KEYS).glob("*.pem")}
    missing = [Finding(_file(key_id), "a public key", MISSING) for key_id in sorted(used - published)]
    unknown = [
        Finding(_file(key_id), "a key that the ledger names", "an unknown one") for key_id in sorted(published - used)
    ]
    result = Verification(findings=(*missing, *unknown), checked=(str(PUBLIC_KEYS),) if used else ())
    result += compare_successions(events, read_public_keys(layout)[0])
    return result if expected_key is None else result + _compare_expected(events, expected_key)


def compare_successions(events: Sequence[Event], keys: Mapping[str, PublicKey]) -> Verification:
    """Compare every replacement of a signing key with the key that was in use, and with that key's signature.

    Args:
        events: of the ledger.
        keys: the public keys by their ids; of a key that is missing nothing is said.
    """
    result, in_use = Verification(), None
    for _, fact in facts(events, "signing_key", KeyInUse):
        what, replaced = f"{_file(fact.key_id)} succession", keys.get(fact.replaces or "")
        if fact.replaces != in_use:
            wrong = Finding(what, f"replaces {in_use or MISSING}", f"replaces {fact.replaces or MISSING}")
            result += Verification(findings=(wrong,))
        elif in_use and fact.endorsement is None:
            unsigned = f"{what}: {short(in_use)} did not sign it; ask the company by another way whether it is theirs"
            result += Verification(not_checked=(unsigned,))
        elif replaced and not replaced.endorses(fact.key_id, fact.endorsement or ""):
            wrong = Finding(what, f"the signature of {in_use}", "another one")
            result += Verification(findings=(wrong,))
        in_use = fact.key_id
    return result


def _compare_expected(events: Sequence[Event], expected_key: str) -> Verification:
    """Check that a key is in use, or every key that came after it was signed by the one before."""
    what, wanted = "signing key in use", f"{expected_key}, or one that follows from it by signatures"
    uses = [fact for _, fact in facts(events, "signing_key", KeyInUse)]
    ids = [fact.key_id for fact in uses]
    if expected_key not in ids:
        found = ids[-1] if ids else MISSING
    else:
        later = uses[ids.index(expected_key) + 1 :]
        found = next((f"{fact.key_id}, unsigned" for fact in later if fact.endorsement is None), "")
    return Verification(findings=(Finding(what, wanted, found),) if found else (), checked=(what,))


def _file(key_id: str) -> str:
    return f"{PUBLIC_KEYS}/{key_id}.pem"
