"""DSSE envelopes and statements: laws, and whatever else somebody may hand in."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import SSlibKey

from dlfd_ops.audit.certificates import open_signed
from dlfd_ops.audit.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, Envelope, pae
from dlfd_ops.audit.signing import SigningKey
from dlfd_ops.audit.statement import (
    Evaluation,
    EvaluationStatement,
    FileDigest,
    FileSubject,
    Statement,
    parse_statement,
)
from dlfd_ops.errors import BadInput, CheckFailed

KEY, OTHER = SigningKey(b"\1" * 32), SigningKey(b"\2" * 32)
TRUSTED = {KEY.public.key_id: KEY.public}

unicode = st.text(st.characters(codec="utf-8"))
names = st.text(st.characters(codec="utf-8"), max_size=20)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
subjects = st.builds(FileSubject, name=names, digest=st.builds(FileDigest, sha256=digests))
statements = st.builds(
    EvaluationStatement,
    subject=st.tuples(subjects, subjects),
    predicate=st.builds(
        Evaluation, forget_list_digest=digests, manifest_digest=digests, metrics=st.dictionaries(names, numbers)
    ),
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def sample() -> EvaluationStatement:
    """Return a small statement."""
    subject = FileSubject(name="weights", digest=FileDigest(sha256="0" * 64))
    said = Evaluation(forget_list_digest="1" * 64, manifest_digest="2" * 64, metrics={"unlearned.mia_auc": 0.5})
    return EvaluationStatement(subject=(subject, subject), predicate=said)


SIGNED = KEY.sign(sample().canonical()).to_bytes()


@given(statements)
def test_what_is_signed_is_what_is_read(statement: Statement) -> None:
    """Signing, writing, reading and checking gives the statement back, and writing it again the same bytes."""
    content = KEY.sign(statement.canonical()).to_bytes()
    signed = open_signed(content, TRUSTED, what="it")
    assert signed.statement == statement
    assert signed.key_ids == (KEY.public.key_id,)
    assert KEY.sign(signed.statement.canonical()).to_bytes() == content
    assert Envelope.from_bytes(content, what="it").to_bytes() == content


@given(unicode, st.binary(), unicode, st.binary())
def test_no_two_documents_are_signed_alike(kind: str, payload: bytes, other: str, otherwise: bytes) -> None:
    """The pre-authentication encoding tells type and payload apart, wherever one ends and the other begins."""
    assert (pae(kind, payload) == pae(other, otherwise)) == ((kind, payload) == (other, otherwise))


def test_the_encoding_is_the_one_of_the_specification() -> None:
    """The specification's own example."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_another_implementation_accepts_the_signature_and_no_other() -> None:
    """The library securesystemslib verifies with the PEM key, and refuses another key and another payload."""
    public = SSlibKey.from_crypto(load_pem_public_key(KEY.public.pem()), keyid=KEY.public.key_id)
    wrong = SSlibKey.from_crypto(load_pem_public_key(OTHER.public.pem()), keyid=KEY.public.key_id)
    envelope = OtherEnvelope.from_dict(json.loads(SIGNED))
    assert envelope.payload == sample().canonical()
    assert envelope.payload_type == PAYLOAD_TYPE
    assert envelope.verify([public], 1) == {KEY.public.key_id: public}
    with pytest.raises(VerificationError):
        envelope.verify([wrong], 1)
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([public], 1)


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(place: int, difference: int) -> None:
    """Any single changed byte is bad input or a broken signature, never another statement."""
    changed = bytearray(SIGNED)
    changed[place] ^= difference
    with pytest.raises((BadInput, CheckFailed)):
        open_signed(bytes(changed), TRUSTED, what="it")


@given(st.integers(0, len(SIGNED) - 1))
def test_no_part_is_taken_for_the_whole(length: int) -> None:
    """A truncated file is bad input."""
    with pytest.raises(BadInput):
        open_signed(SIGNED[:length], TRUSTED, what="it")


@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode() + b"\n"))
def test_anything_else_is_one_line(content: bytes) -> None:
    """Whatever the bytes: one clean error of one line."""
    with pytest.raises(BadInput) as error:
        open_signed(content, TRUSTED, what="it")
    assert "\n" not in str(error.value)


@given(anything)
def test_any_signed_payload_that_is_no_statement_is_one_line(value: Any) -> None:
    """Even a payload with a good signature is read with care."""
    content = KEY.sign(json.dumps(value).encode()).to_bytes()
    with pytest.raises(BadInput):
        open_signed(content, TRUSTED, what="it")


def envelope(**changes: Any) -> bytes:
    """Return the sample's envelope with other members, still canonical."""
    return json.dumps(json.loads(SIGNED) | changes, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"[" * 100_000 + b"]" * 100_000 + b"\n",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n",
        SIGNED[:-1],
        SIGNED + b"\n",
        b" " + SIGNED,
        json.dumps(json.loads(SIGNED), indent=1).encode() + b"\n",
        SIGNED.replace(b'"payload":', b'"payload":"","payload":'),
        b"1" * 10_000 + b"\n",
        b'"\\ud800"\n',
        envelope(payload="not base64"),
        envelope(payload="QQ"),
        envelope(payload="QR=="),
        envelope(payload="Q\nQ=="),
        envelope(payload="QQ==é"),
        envelope(payload=1),
        envelope(payloadType="text/plain"),
        envelope(signatures=[]),
        envelope(signatures=[{"keyid": "", "sig": ""}]),
        envelope(signatures=[{"keyid": "0" * 64, "sig": "QR=="}]),
        envelope(signatures=json.loads(SIGNED)["signatures"] * 17),
        envelope(more=1),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_malformed_envelope_is_bad_input(content: bytes) -> None:
    """Truncated, nested, doubled, respelled or extended: one line, without a traceback, and quickly."""
    with pytest.raises(BadInput, match="must be a signed statement"):
        open_signed(content, TRUSTED, what="it")


def test_a_huge_file_is_refused_unread() -> None:
    """Beyond the limit nothing is parsed."""
    with pytest.raises(BadInput, match="may hold at most"):
        Envelope.from_bytes(b" " * (MAX_ENVELOPE_BYTES + 1), what="it")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0.5", b"NaN"),
        (b"0.5", b"5e-1"),
        (b"0.5", b'"0.5"'),
        (b"0.5", b"0.50"),
        (b'"metrics":{', b'"metrics":{"unlearned.mia_auc":0.1,'),
        (b"Statement/v1", b"Statement/v2"),
        (b"evaluation/v1", b"evaluation/v2"),
        (b"weights", b"weight\\u0073"),
        (b'"subject":[', b'"subject":[{"digest":{"sha256":"' + b"0" * 64 + b'"},"name":""},'),
    ],
)
def test_a_statement_has_one_spelling(old: bytes, new: bytes) -> None:
    """Two readers can't disagree about a payload, for a payload that two of them could read differently is refused."""
    payload = sample().canonical()
    assert payload.count(old) >= 1
    with pytest.raises(BadInput):
        parse_statement(payload.replace(old, new, 1), what="it")


def test_a_signature_of_another_key_is_told_from_a_broken_one() -> None:
    """An unknown key is named; one that is known but does not fit says so; one of two good signatures is enough."""
    with pytest.raises(CheckFailed, match=f"unknown key {KEY.public.key_id}"):
        open_signed(SIGNED, {OTHER.public.key_id: OTHER.public}, what="it")
    with pytest.raises(CheckFailed, match="does not fit its content"):
        open_signed(SIGNED, {KEY.public.key_id: OTHER.public}, what="it")
    short = envelope(signatures=[{"keyid": KEY.public.key_id, "sig": base64.b64encode(b"x").decode()}])
    with pytest.raises(CheckFailed, match="does not fit its content"):
        open_signed(short, TRUSTED, what="it")
    both = json.loads(OTHER.sign(sample().canonical()).to_bytes())["signatures"] + json.loads(SIGNED)["signatures"]
    assert open_signed(envelope(signatures=both), TRUSTED, what="it").key_ids == (KEY.public.key_id,)
