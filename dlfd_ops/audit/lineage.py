"""Which version came out of which, what each has forgotten, and where it is now; pure.

A version is tied to the one before by its weights: the ledger says which weights an unlearning started from. Weights
that no registered version has are those of an original.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dlfd_ops.audit.evidence import VersionEvidence
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.timeline import printable
from dlfd_ops.evaluation.forgotten import gone_photos

Place = Literal["serving", "candidate", "archived", "deleted", "registered"]
"""Where a version is: under the alias ``champion``, under ``candidate``, in the registry under neither, gone or without
its weights, or, where the registry was not asked and the ledger does not say, registered at some time."""
Places = Mapping[tuple[str, int], Place]
"""(Registered model, version) -> where it is now."""


class VersionNode(BaseModel):
    """One version in the lineage; None where the ledger does not say.

    Attributes:
        role: "original" (trained) or "unlearned".
        model_name: registered model.
        version: number in MLflow; None for an original that the receipt does not name.
        place: where it is now.
        erased_at: when its weights were erased from every store that was reached, ISO 8601, UTC; None where they were
            not.
        weights_digest: SHA-256 of its weight file.
        parent_weights_digest: SHA-256 of the weights that it was unlearned from.
        parent: index of its parent in the lineage; None for an original.
        forgets: ids of the requests that it has forgotten and its parent had not, sorted; see :func:`forgotten`. Of an
            original, those whose data were gone when it was trained: it never knew them.
        samples: training photos on its forget list.
        forget_list_digest: digest of that list.
        method: unlearning method.
        params_digest: digest of the method's parameters.
        git_commit: commit of the code.
        run_id: MLflow run.
        registered_at: ISO 8601, UTC.
        gate: whether its gate passed.
        attack_auc: of the membership attack on it; 0.5 is a coin toss.
        accuracy: on people never trained on.
        gone: request id -> its photos that the data no longer had, so that this version still knows them; only of
            requests that have such.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["original", "unlearned"]
    model_name: str
    version: int | None
    place: Place
    erased_at: str | None = None
    weights_digest: str | None
    parent_weights_digest: str | None = None
    parent: int | None = None
    forgets: tuple[str, ...] = ()
    samples: int | None = None
    forget_list_digest: str | None = None
    method: str | None = None
    params_digest: str | None = None
    git_commit: str | None = None
    run_id: str | None = None
    registered_at: str | None = None
    gate: bool | None = None
    attack_auc: float | None = None
    accuracy: float | None = None
    gone: dict[str, int] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The version as people say it."""
        return "the original" if self.version is None else f"version {self.version}"


def lineage(
    registered: Sequence[VersionEvidence],
    receipt: Receipt | None,
    places: Places,
    gone: Mapping[str, str] | None = None,
) -> tuple[VersionNode, ...]:
    """Return the originals and every registered version; a parent stands before its children.

    Args:
        registered: the versions of the ledger, the oldest first.
        receipt: of the registration; it names the version of the original that its own version came from.
        places: where the versions are now; one that is not named was not looked for.
        gone: digest of weights that were erased -> when, see :func:`dlfd_ops.audit.evidence.weights_gone`.
    """
    nodes: list[VersionNode] = []
    by_weights: dict[str, int] = {}
    for evidence in registered:
        parent = evidence.unlearned.parent_weights_digest if evidence.unlearned else None
        if parent is not None and parent not in by_weights:
            by_weights[parent] = len(nodes)
            nodes.append(_original(evidence, parent))
        nodes.append(_version(evidence, nodes, by_weights.get(parent) if parent else None, places))
        by_weights[evidence.registered.weights_digest] = len(nodes) - 1
    if receipt is not None and receipt.weights_digest in by_weights:
        *_, root = ancestors(nodes, nodes[by_weights[receipt.weights_digest]])
        nodes[nodes.index(root)] = _numbered(root, receipt, places)
    return tuple(_without_weights(node, (gone or {}).get(node.weights_digest or "")) for node in nodes)


def _without_weights(node: VersionNode, erased_at: str | None) -> VersionNode:
    """Mark a version whose weights are erased; one that an alias names all the same stays where it is."""
    if erased_at is None:
        return node
    place = node.place if node.place in ("serving", "candidate") else "deleted"
    return node.model_copy(update={"erased_at": printable(erased_at), "place": place})


def forgotten(nodes: Sequence[VersionNode], node: VersionNode) -> tuple[str, ...]:
    """Return the ids of all requests that a version has forgotten, its ancestors' included, sorted."""
    return tuple(sorted({request_id for one in ancestors(nodes, node) for request_id in one.forgets}))


def forgetting(nodes: Sequence[VersionNode], request_ids: Collection[str]) -> tuple[bool, ...]:
    """Return for every version whether it has forgotten one of the requests, itself or through an ancestor."""
    answers: list[bool] = []
    for node in nodes:
        inherited = node.parent is not None and answers[node.parent]
        answers.append(inherited or any(request_id in request_ids for request_id in node.forgets))
    return tuple(answers)


def ancestors(nodes: Sequence[VersionNode], node: VersionNode) -> Iterator[VersionNode]:
    """Yield a version and what it came from, back to the original."""
    yield node
    while node.parent is not None:
        node = nodes[node.parent]
        yield node


def _original(made: VersionEvidence, weights: str) -> VersionNode:
    """Return the original that a version was made from: what that covers and was not on its list, it never knew."""
    listed = made.resolved.request_ids if made.resolved else made.registered.request_ids
    return VersionNode(
        role="original",
        model_name=printable(made.registered.model_name),
        version=None,
        place="registered",
        weights_digest=printable(weights),
        forgets=tuple(sorted(map(printable, {*made.registered.request_ids}.difference(listed)))),
    )


def _numbered(root: VersionNode, receipt: Receipt, places: Places) -> VersionNode:
    """Give an original the number that the receipt knows."""
    if root.role != "original" or root.model_name != printable(receipt.model_name):
        return root
    place = places.get((receipt.model_name, receipt.original_version), "registered")
    return root.model_copy(update={"version": receipt.original_version, "place": place})


def _version(
    evidence: VersionEvidence, nodes: Sequence[VersionNode], parent: int | None, places: Places
) -> VersionNode:
    registered, unlearned = evidence.registered, evidence.unlearned
    metrics = evidence.evaluated.metrics if evidence.evaluated else {}
    inherited = forgotten(nodes, nodes[parent]) if parent is not None else ()
    own = {printable(request_id) for request_id in registered.request_ids}
    return VersionNode(
        role="unlearned",
        model_name=printable(registered.model_name),
        version=registered.version,
        place=places.get((registered.model_name, registered.version), "registered"),
        weights_digest=printable(registered.weights_digest),
        parent_weights_digest=printable(unlearned.parent_weights_digest) if unlearned else None,
        parent=parent,
        forgets=tuple(sorted(own.difference(inherited))),
        samples=evidence.resolved.forget_count if evidence.resolved else None,
        forget_list_digest=printable(registered.forget_list_digest),
        method=printable(unlearned.method) if unlearned else None,
        params_digest=printable(unlearned.params_digest) if unlearned else None,
        git_commit=printable(unlearned.git_commit) if unlearned else None,
        run_id=printable(registered.run_id),
        registered_at=printable(evidence.at),
        gate=evidence.gated.passed if evidence.gated else None,
        attack_auc=metrics.get("unlearned.mia_auc"),
        accuracy=metrics.get("unlearned.accuracy"),
        gone={printable(request_id): photos for request_id, photos in gone_photos(metrics).items()},
    )
