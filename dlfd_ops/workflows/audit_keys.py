"""Comparing the public keys with the ledger, and following the signing keys from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.facts import KeyInUse, facts
from dlfd_ops.audit.findings import MISSING, Finding, Verification
from dlfd_ops.audit.keyring import PUBLIC_KEYS, Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import PublicKey
from dlfd_ops.audit.timeline import short
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
        expected_key: the id of a key that was had from the company; it must be one of the keys, every key before it
            accepted by its successor, and every key after it endorsed by its predecessor.

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
        keys: the public keys by their ids; what a missing one signed does not hold.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    result, in_use = Verification(), None
    for _, fact in facts(events, "signing_key", KeyInUse):
        what = f"{_file(fact.key_id)} succession"
        if fact.replaces != in_use:
            wrong = Finding(what, f"replaces {in_use or MISSING}", f"replaces {fact.replaces or MISSING}")
            result += Verification(findings=(wrong,))
        elif in_use is not None:
            for signer, signature in ((in_use, fact.endorsement), (fact.key_id, fact.acceptance)):
                result += _compare_signature(what, fact, keys.get(signer), signer, signature)
        in_use = fact.key_id
    return result


def _compare_signature(
    what: str, fact: KeyInUse, key: PublicKey | None, signer: str, signature: str | None
) -> Verification:
    if signature is None:
        unsigned = f"{what}: {short(signer)} did not sign it; ask the company by another way whether the key is theirs"
        return Verification(not_checked=(unsigned,))
    if key and key.has_signed_succession(signature, key_id=fact.key_id, replaced=fact.replaces or ""):
        return Verification()
    return Verification(findings=(Finding(what, f"the signature of {signer}", "none that holds"),))


def _compare_expected(events: Sequence[Event], expected_key: str) -> Verification:
    """Check that the key can be followed to every other one: backwards by acceptances, forwards by endorsements.

    Whoever holds a key can endorse any other one, also the company's: that says nothing about who came before it.
    """
    uses = [fact for _, fact in facts(events, "signing_key", KeyInUse)]
    ids = [fact.key_id for fact in uses]
    what = "signing keys"
    if expected_key not in ids:
        found = Finding(what, expected_key, ", ".join(ids) or MISSING)
        return Verification(findings=(found,), checked=(what,))
    place = ids.index(expected_key)
    unsigned = [fact.key_id for fact in uses[1 : place + 1] if fact.acceptance is None]
    unsigned += [fact.key_id for fact in uses[place + 1 :] if fact.endorsement is None]
    wanted = f"each signed on the way from or to {expected_key}"
    findings = tuple(Finding(what, wanted, f"{key_id}, which is not") for key_id in unsigned)
    return Verification(findings=findings, checked=(what,))


def _file(key_id: str) -> str:
    return f"{PUBLIC_KEYS}/{key_id}.pem"
