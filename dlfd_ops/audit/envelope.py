"""DSSE envelopes: a payload, its type, and signatures over both (https://github.com/secure-systems-lab/dsse).

What is signed is the pre-authentication encoding of type and payload, so that a signature can be moved neither to
another payload nor to another kind of document. An envelope is stored as canonical JSON: one content, one sequence of
bytes, one digest. The same holds for the statements inside, which is why both are read by :func:`parse_canonical`.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal, Protocol, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dlfd_ops.digest import canonical_json
from dlfd_ops.errors import BadInput

PAYLOAD_TYPE: Literal["application/vnd.in-toto+json"] = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES = 32 << 20


def _canonical_base64(text: str) -> str:
    # Strict in both directions: base64 with stray bits would give one content two spellings, thus two digests.
    try:
        same = base64.b64encode(base64.b64decode(text.encode("ascii"), validate=True)).decode() == text
    except ValueError:
        same = False
    if not same:
        raise ValueError("must be canonical base64")
    return text


Base64 = Annotated[str, AfterValidator(_canonical_base64)]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    """Base of everything in this format: frozen, nothing unforeseen, no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_by_name=True, allow_inf_nan=False)

    def canonical(self) -> bytes:
        """Return the canonical JSON.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        return canonical_json(self.model_dump(mode="json", by_alias=True)).encode()


class Signature(Document):
    """One signature.

    Attributes:
        keyid: SHA-256 of the public key, see :class:`dlfd_ops.audit.signing.PublicKey`.
        sig: over the pre-authentication encoding.
    """

    keyid: Hex64
    sig: Base64

    @property
    def raw(self) -> bytes:
        """The signature's bytes."""
        return base64.b64decode(self.sig)


class Envelope(Document):
    """A signed payload.

    Attributes:
        payload: an in-toto statement in canonical JSON.
        payload_type: always in-toto's.
        signatures: at least one, each of another key.
    """

    payload: Base64
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=16)]

    @property
    def content(self) -> bytes:
        """The payload's bytes."""
        return base64.b64decode(self.payload)

    def to_bytes(self) -> bytes:
        """Return the bytes of the envelope's file: canonical JSON and a line feed."""
        return self.canonical() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes, *, what: str) -> Envelope:
        """Read an envelope; the inverse of :meth:`to_bytes`.

        Args:
            content: bytes of the file.
            what: how to name it in an error.

        Raises:
            BadInput: it is too large, or something else than what :meth:`to_bytes` writes.
        """
        if len(content) > MAX_ENVELOPE_BYTES:
            raise BadInput(
                f"{what} may hold at most {MAX_ENVELOPE_BYTES} bytes",
                received=f"{len(content)} bytes",
                remedy="give a signed envelope",
            )
        if not content.endswith(b"\n"):
            raise _malformed(what, "no line feed at its end")
        return parse_canonical(cls, content[:-1], what=what)


class Canonical(Protocol):
    """What :func:`parse_canonical` needs of a model."""

    @classmethod
    def model_validate_json(cls, json_data: bytes, /) -> Self:
        """Read JSON."""
        ...

    def canonical(self) -> bytes:
        """Return the canonical JSON."""
        ...


AnyDocument = TypeVar("AnyDocument", bound=Canonical)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: what is signed; no two inputs share it."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, key_id: str, signature: bytes) -> Envelope:
    """Return the envelope of a payload and its signature."""
    signed = Signature(keyid=key_id, sig=base64.b64encode(signature).decode())
    return Envelope(payload=base64.b64encode(payload).decode(), payload_type=PAYLOAD_TYPE, signatures=(signed,))


def parse_canonical(model: type[AnyDocument], content: bytes, *, what: str) -> AnyDocument:
    """Read a document whose bytes are its canonical JSON.

    Whatever else a lenient reader would accept is refused: a key twice, other white space, another spelling of a
    number or a string. Two readers can then not disagree about what was signed.

    Raises:
        BadInput: the content is not the canonical JSON of such a document; what it says is not repeated.
    """
    try:
        document = model.model_validate_json(content)
        if document.canonical() != content:
            raise _malformed(what, "JSON that is not in canonical form")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise _malformed(what, f"{where}: {first['type']}" if where else str(first["type"])) from error
    except ValueError as error:
        raise _malformed(what, "a number that is not finite") from error
    return document


def _malformed(what: str, received: str) -> BadInput:
    return BadInput(
        f"{what} must be a signed statement as dlfd-ops writes it",
        received=received,
        remedy="restore it from git, or ask its sender for the unchanged file",
    )
