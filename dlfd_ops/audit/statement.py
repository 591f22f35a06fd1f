"""What is signed: in-toto Statements v1, one type for each thing that we vouch for.

A statement names its *subjects* by digest and says something about them, its *predicate*
(https://github.com/in-toto/attestation/tree/main/spec/v1). The predicate types are URIs of a scheme of our own: they
name no host, so nobody can come to own what they mean; their JSON Schemas ship in ``docs/schemas``. A change that a
reader must know of is a new version (``/v2``).
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from dlfd_ops.audit.envelope import Document, Hex64, parse_canonical

STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
CAVEAT = (
    "A passed metric is evidence that the model has forgotten, not proof: a stronger attack may find traces that this "
    "measurement does not, and the operator of the model measured, judged and signed."
)

Text = Annotated[str, Field(max_length=4096)]
RequestIds = tuple[Annotated[str, Field(pattern=r"^req-[0-9a-f]{12}$")], ...]
Metrics = dict[Text, float | None]


class FileDigest(Document):
    """The SHA-256 of a file's bytes."""

    sha256: Hex64


class FolderDigest(Document):
    """in-toto's digest of a folder, see :func:`dlfd_ops.digest.dir_hash`."""

    dir_hash: Hex64 = Field(alias="dirHash")


class FileSubject(Document):
    """A file that a statement is about.

    Attributes:
        name: what it is, for people: a path in the repository, or a model in MLflow.
        digest: of it.
    """

    name: Text
    digest: FileDigest


class FolderSubject(Document):
    """A folder that a statement is about; as :class:`FileSubject`."""

    name: Text
    digest: FolderDigest


ModelSubjects = tuple[FileSubject, FileSubject, FolderSubject]
"""The weight file, the file that MLflow loads, the folder that MLflow holds."""


class LedgerPosition(Document):
    """Where the ledger ended when the statement was written.

    Attributes:
        seq: number of the last event.
        head: its hash; everything up to it is bound to this statement.
    """

    seq: Annotated[int, Field(ge=1)]
    head: Hex64


class ModelVersion(Document):
    """A version in MLflow, and who made it.

    Attributes:
        name: the registered model.
        version: its number.
        run_id: the run that made it.
        store: the MLflow store, without credentials.
        registered_at: ISO 8601, UTC.
    """

    name: Text
    version: Annotated[int, Field(ge=1)]
    run_id: Text
    store: Text
    registered_at: Text


class ForgetListFacts(Document):
    """The training samples that were forgotten: the digest of the list, and how many stand on it."""

    digest: Hex64
    count: Annotated[int, Field(ge=0)]


class DataVersion(Document):
    """One state of the data.

    Attributes:
        manifest_digest: of the prepared samples.
        raw_digest: DVC's digest of the raw data; None where DVC records none.
    """

    manifest_digest: Hex64
    raw_digest: Text | None


class Unlearning(Document):
    """How the weights were made.

    Attributes:
        method: of the unlearning.
        params_digest: of its parameters.
        git_commit: of the code, or ``unknown``.
        git_dirty: whether tracked files differed from it: ``true``, ``false`` or ``unknown``.
        dvc_lock_digest: of what DVC recorded for the stages before, or ``unknown``.
    """

    method: Text
    params_digest: Hex64
    git_commit: Text
    git_dirty: Text
    dvc_lock_digest: Text


class Parent(Document):
    """The version that the unlearning started from.

    Attributes:
        version: its number.
        weights_digest: SHA-256 of its weights.
        certificate_digest: SHA-256 of its certificate's file; None for the original, which has none.
    """

    version: Annotated[int, Field(ge=1)]
    weights_digest: Hex64
    certificate_digest: Hex64 | None


class Rule(Document):
    """One rule of the gate: the value held against its limit; None where there was none."""

    rule: Text
    value: float | None
    limit: float | None
    passed: bool


class Gate(Document):
    """The gate's verdict on the version."""

    passed: bool
    rules: tuple[Rule, ...]


class StoreErasure(Document):
    """What one erasure did in one store.

    Attributes:
        store: the place.
        removed: number of objects that are gone.
        kept: number of objects that stayed.
    """

    store: Text
    removed: Annotated[int, Field(ge=0)]
    kept: Annotated[int, Field(ge=0)]


class Kept(Document):
    """Why an erasure kept objects, and how many."""

    ground: Text
    objects: Annotated[int, Field(ge=1)]


class Erasure(Document):
    """What one erasure did to the stored data, as the ledger recorded it.

    Attributes:
        at: when, ISO 8601, UTC.
        requests: number of requests whose data it removed; the other numbers are for all of them together.
        receipt_digest: SHA-256 of the receipt, which names every object and its outcome.
        stores: what it did in each store that it reached.
        kept: why something was kept.
        not_reached: what could not be reached, a line each.
    """

    at: Text
    requests: Annotated[int, Field(ge=1)]
    receipt_digest: Hex64
    stores: tuple[StoreErasure, ...]
    kept: tuple[Kept, ...]
    not_reached: tuple[Text, ...]

    @property
    def removed(self) -> int:
        """Number of objects that are gone, in all stores."""
        return sum(store.removed for store in self.stores)


class Evaluation(Document):
    """Predicate: what was measured on a model, before anybody judged it.

    Attributes:
        forget_list_digest: of the samples that it should have forgotten.
        manifest_digest: of the data that it was measured on.
        metrics: every number, as ``dvc metrics show`` names it.
    """

    forget_list_digest: Hex64
    manifest_digest: Hex64
    metrics: Metrics


class ModelCertificate(Document):
    """Predicate: everything that is known about a model version that forgets.

    Attributes:
        model: the version.
        request_ids: the requests that it answers, pseudonymous.
        forget_list: what it forgets.
        data_before: the data that the requests were resolved in.
        manifest_after: digest of the manifest after the last erasure; None while nothing was erased.
        unlearning: how it was made.
        parent: what it was made from.
        evidence_digest: SHA-256 of the file of the signed evaluation.
        metrics: the numbers that the ledger holds.
        gate: the verdict, with every limit.
        erasures: what happened to the stored data so far.
        ledger: where the ledger ended.
        caveat: :data:`CAVEAT`.
    """

    model: ModelVersion
    request_ids: RequestIds
    forget_list: ForgetListFacts
    data_before: DataVersion
    manifest_after: Hex64 | None
    unlearning: Unlearning
    parent: Parent
    evidence_digest: Hex64
    metrics: Metrics
    gate: Gate
    erasures: tuple[Erasure, ...]
    ledger: LedgerPosition
    caveat: Literal[CAVEAT] = CAVEAT  # type: ignore[valid-type]


class RequestFacts(Document):
    """A deletion request and its answer.

    Attributes:
        request_id: its pseudonymous id.
        target: ``subject`` (a person) or ``samples`` (single photos).
        legal_basis: key of the policy table.
        received_at: ISO 8601, UTC.
        due_at: the due date, an extension included.
        fulfilled_at: when a version that forgets it passed the gate, ISO 8601, UTC.
        late: whether that was after the due date.
    """

    request_id: Annotated[str, Field(pattern=r"^req-[0-9a-f]{12}$")]
    target: Literal["subject", "samples"]
    legal_basis: Text
    received_at: Text
    due_at: date
    fulfilled_at: Text
    late: bool


class RequestCertificate(Document):
    """Predicate: how one request was fulfilled.

    Attributes:
        request: what was asked, and when it was done.
        model_name: the registered model.
        version: the version that first fulfilled it.
        certificate_digest: SHA-256 of the version's certificate, which says how it was made.
        metrics: the numbers of that version.
        gate: the verdict on it.
        erasures: what happened to the stored data so far.
        ledger: where the ledger ended.
        caveat: :data:`CAVEAT`.
    """

    request: RequestFacts
    model_name: Text
    version: Annotated[int, Field(ge=1)]
    certificate_digest: Hex64
    metrics: Metrics
    gate: Gate
    erasures: tuple[Erasure, ...]
    ledger: LedgerPosition
    caveat: Literal[CAVEAT] = CAVEAT  # type: ignore[valid-type]


class _Statement(Document):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")


class EvaluationStatement(_Statement):
    """The signed evidence; its subjects are the weight file and the file of the numbers."""

    subject: tuple[FileSubject, FileSubject]
    predicate_type: Literal["dlfd-ops:evaluation/v1"] = Field(default="dlfd-ops:evaluation/v1", alias="predicateType")
    predicate: Evaluation


class ModelStatement(_Statement):
    """The certificate of a version."""

    subject: ModelSubjects
    predicate_type: Literal["dlfd-ops:model-version/v1"] = Field(
        default="dlfd-ops:model-version/v1", alias="predicateType"
    )
    predicate: ModelCertificate


class RequestStatement(_Statement):
    """The certificate of a request; its subjects are those of the version that answers it."""

    subject: ModelSubjects
    predicate_type: Literal["dlfd-ops:deletion-request/v1"] = Field(
        default="dlfd-ops:deletion-request/v1", alias="predicateType"
    )
    predicate: RequestCertificate


Statement = EvaluationStatement | ModelStatement | RequestStatement


class _AnyStatement(RootModel[Annotated[Statement, Field(discriminator="predicate_type")]]):
    model_config = ConfigDict(frozen=True, strict=True)

    def canonical(self) -> bytes:
        return self.root.canonical()


def parse_statement(content: bytes, *, what: str) -> Statement:
    """Read a statement of any type; the inverse of its ``canonical``.

    Raises:
        BadInput: the content is not the canonical JSON of a statement of this package.
    """
    return parse_canonical(_AnyStatement, content, what=what).root
