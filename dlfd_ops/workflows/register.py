"""The register stage: the original and the unlearned model become versions in MLflow, with lineage and evidence."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dlfd_ops.audit.coverage import check_coverage
from dlfd_ops.audit.evidence import versions
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.verification import Found
from dlfd_ops.data.manifest import Manifest, read_manifest
from dlfd_ops.deletion.forget_list import ForgetList, read_forget_list
from dlfd_ops.deletion.parent import Parent
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.forgotten import RequestEvidence, read_forgotten
from dlfd_ops.evaluation.gate import Decision, decide
from dlfd_ops.evaluation.results import read_json, read_metrics
from dlfd_ops.files import write_text
from dlfd_ops.models.checkpoint import load_card
from dlfd_ops.params import Params, Policy
from dlfd_ops.tracking.description import Forgotten, describe_original, describe_unlearned
from dlfd_ops.tracking.provenance import UNKNOWN, Provenance, read_provenance
from dlfd_ops.tracking.registry import Entry, Registry, join_ids, registration_key
from dlfd_ops.tracking.runs import ensure_run, experiment_name
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import GATE_TAG, RegisteredVersion, read_version, record_certificate, record_head
from dlfd_ops.workflows.certify import certify_version, is_certified
from dlfd_ops.workflows.gate_facts import gather_facts
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.pinning import trained_without
from dlfd_ops.workflows.retired import known_digest, read_retired
from dlfd_ops.workflows.start import read_start

LOCK = "register"
ORIGINAL: Literal["original"] = "original"
UNLEARNED: Literal["unlearned"] = "unlearned"

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Inputs:
    """What the stage reads; see :func:`register`."""

    manifest: Manifest
    manifest_digest: str
    forget_list: ForgetList
    parent: Parent
    evidence: Mapping[str, RequestEvidence]
    metrics: Mapping[str, float]
    decision: Decision
    method: str
    digests: Mapping[str, str]
    provenance: Provenance

    @property
    def request_ids(self) -> tuple[str, ...]:
        """All requests that the version has forgotten: those of the forget list, and those that its parent covers."""
        return tuple(sorted({*self.parent.covers, *self.forget_list.request_ids}))


def register(params: Params, root: Path = Path()) -> Receipt:
    """Register the original, then the unlearned model; decide on the gate; record both in the ledger.

    Run again on the same inputs it finds the versions that stand already, also when two run at once. A decision that
    has changed since (another policy, a retrained model to compare with) is stated on the version. With nothing new to
    forget, the receipt names the parent, and nothing is registered or decided.

    Reads ``models/{original,unlearned}``, ``metrics/{unlearning,evaluated,unlearn}.json``,
    ``deletion/{requests.csv,parent.json,forget_list.parquet}``, ``data/prepared/{manifest.parquet,aliases.csv}`` and
    ``audit/evidence.json``.
    Writes ``registry/version.json``, the version's certificate, and the events ``registered``, ``gated`` and
    ``certified`` of the ledger.

    Args:
        params: the sections ``base`` and ``register`` steer; the others are only logged to a run that is missing.
        root: the repository.

    Raises:
        BadInput: an input is missing or damaged, the store does not answer, or the signing key is not at hand.
        CheckFailed: the ledger's chain is broken, or does not explain a request that the version would be
            registered for, the packaged model does not answer as the model does, a version that nobody vouches for is
            another model, or a certificate was tampered with.
    """
    layout = Layout(root)
    inputs = _read_inputs(layout, params.register_.policy)
    check_coverage(
        Ledger(layout.ledger).trusted(),
        Found(
            original=inputs.digests[ORIGINAL],
            pinned=inputs.parent,
            forget_list=inputs.forget_list.digest(),
            to_forget=inputs.forget_list.request_ids,
        ),
    )
    store = open_store(root)
    registry = Registry(store, store.experiment_id(experiment_name(params)), params.register_.model_name)
    with store.lock(LOCK):
        original = _original(params, layout, store, registry, inputs)
        if not inputs.forget_list.request_ids:
            return _keep_parent(layout, store, registry, inputs, original.version)
        entry = _unlearned_entry(params, layout, store, inputs, original.version)
        version = registry.register(entry, lambda existing: is_certified(layout, existing))
        registry.record_gate(version, entry.tags[GATE_TAG], entry.description)
        candidate = registry.point_candidate()
        _record(layout, store, inputs, version)
        parent_version = inputs.parent.version or original.version
        record_certificate(store, version, certify_version(params, layout, store, version, parent_version))
        record_head(store, version.model_name, version.version, Ledger(layout.ledger).head())
        receipt = Receipt(
            model_name=version.model_name,
            version=version.version,
            original_version=original.version,
            parent_version=parent_version,
            run_id=version.run_id,
            store=store.description,
            weights_digest=inputs.digests[UNLEARNED],
            forget_list_digest=inputs.forget_list.digest(),
            manifest_digest=inputs.manifest_digest,
            gate=entry.tags[GATE_TAG],
        )
        _write_receipt(receipt, layout)
    names = "none" if candidate is None else f"version {candidate}"
    _LOGGER.info("%s version %d: gate %s; candidate: %s", receipt.model_name, receipt.version, receipt.gate, names)
    return receipt


def _read_inputs(layout: Layout, policy: Policy) -> _Inputs:
    digests: dict[str, str] = {model: known_digest(layout.model(model)) for model in (ORIGINAL, UNLEARNED)}
    method = read_json(layout.metrics("unlearn")).get("method")
    if not isinstance(method, str):
        raise BadInput("metrics/unlearn.json must name the method", received="none", remedy="run the unlearn stage")
    manifest, metrics = read_manifest(layout.manifest), read_metrics(layout.metrics("unlearning"))
    forget_list = read_forget_list(layout.forget_list)
    facts = gather_facts(layout, manifest, forget_list, digests[UNLEARNED])
    return _Inputs(
        manifest=manifest,
        manifest_digest=manifest.digest(),
        forget_list=forget_list,
        parent=read_start(layout).parent,
        evidence=read_forgotten(layout.metrics("forgotten")),
        metrics=metrics,
        decision=decide(metrics, facts, policy),
        method=method,
        digests=digests,
        provenance=read_provenance(layout.root, "register"),
    )


def _original(params: Params, layout: Layout, store: Store, registry: Registry, inputs: _Inputs) -> RegisteredVersion:
    """Return the original's version, registering it where it is new.

    Raises:
        BadInput: it is neither in the registry nor can it be registered, for its weights are erased.
    """
    if read_retired(layout.model(ORIGINAL)) is None:
        newest = _newest_registered(layout, store, registry.model_name)
        # One that is older than a version of the ledger was looked into when that one was registered.
        return registry.register(_original_entry(params, layout, store, inputs), lambda one: one.version < newest)
    found = registry.find(_original_key(params, inputs))
    if found is None:
        raise BadInput(
            "the registry must hold the original as a record, for its weights are erased",
            received=f"{registry.model_name} without it in {store.description}",
            remedy="use the store that it was registered in, or train a new original (docs/registry.md)",
        )
    return found


def _newest_registered(layout: Layout, store: Store, model_name: str) -> int:
    named = [one.registered for one in versions(Ledger(layout.ledger).events())]
    here = (model_name, store.description)
    return max((one.version for one in named if (one.model_name, one.store) == here), default=0)


def _original_key(params: Params, inputs: _Inputs) -> str:
    return registration_key(
        params.register_.model_name,
        method=ORIGINAL,
        weights_digest=inputs.digests[ORIGINAL],
        forget_list_digest="",
        requests="",
    )


def _original_entry(params: Params, layout: Layout, store: Store, inputs: _Inputs) -> Entry:
    folder, digest = layout.model(ORIGINAL), inputs.digests[ORIGINAL]
    card = load_card(folder)
    origin = card.factory.origin if card.factory is not None else None
    return Entry(
        checkpoint=folder,
        run_id=ensure_run(store, params, ORIGINAL, folder, inputs.manifest),
        tags={
            "dlfd.method": ORIGINAL,
            "dlfd.weights_digest": digest,
            "dlfd.manifest_digest": inputs.manifest_digest,
            **({} if origin is None else {"dlfd.adopted_from": origin}),
            **inputs.provenance.tags(),
        },
        description=describe_original(
            params.base.dataset,
            card.labels,
            digest,
            inputs.manifest_digest,
            without=len(trained_without(layout)),
        ),
        metrics=_metrics_of(ORIGINAL, inputs.metrics),
        key=_original_key(params, inputs),
    )


def _unlearned_entry(params: Params, layout: Layout, store: Store, inputs: _Inputs, original_version: int) -> Entry:
    folder, digest = layout.model(UNLEARNED), inputs.digests[UNLEARNED]
    forget_list, requests = inputs.forget_list, join_ids(inputs.request_ids)
    parent_version = inputs.parent.version or original_version
    earlier = [one for request_id, one in inputs.evidence.items() if request_id in inputs.parent.covers]
    forgotten = Forgotten(
        method=inputs.method,
        request_ids=forget_list.request_ids,
        earlier=inputs.parent.covers,
        measured=len(earlier) - sum(one.carried for one in earlier),
        carried=sum(one.carried for one in earlier),
        never_knew=inputs.parent.kind == ORIGINAL,
        samples=len(forget_list),
        forget_list_digest=forget_list.digest(),
        parent_version=parent_version,
        unlearnings=inputs.parent.unlearnings + 1,
        max_unlearnings=params.register_.policy.max_sequential_unlearnings,
    )
    checked = {"Weights": digest, "Manifest": inputs.manifest_digest, "DVC lock": inputs.provenance.dvc_lock_digest}
    return Entry(
        checkpoint=folder,
        run_id=ensure_run(store, params, UNLEARNED, folder, inputs.manifest),
        tags={
            "dlfd.method": inputs.method,
            "dlfd.request_ids": requests,
            "dlfd.forget_list_digest": forgotten.forget_list_digest,
            "dlfd.forget_count": str(forgotten.samples),
            "dlfd.manifest_digest": inputs.manifest_digest,
            "dlfd.parent_version": str(parent_version),
            "dlfd.unlearnings": str(forgotten.unlearnings),
            "dlfd.weights_digest": digest,
            GATE_TAG: "passed" if inputs.decision.passed else "failed",
            **inputs.provenance.tags(),
        },
        description=describe_unlearned(forgotten, inputs.metrics, inputs.decision, checked),
        metrics=_metrics_of(UNLEARNED, inputs.metrics),
        key=registration_key(
            params.register_.model_name,
            method=inputs.method,
            weights_digest=digest,
            forget_list_digest=forgotten.forget_list_digest,
            requests=requests,
        ),
    )


def _keep_parent(layout: Layout, store: Store, registry: Registry, inputs: _Inputs, original_version: int) -> Receipt:
    """Write the receipt of the parent, which is the result where nothing new is to be forgotten."""
    number = inputs.parent.version or original_version
    version = read_version(store, registry.model_name, number)
    if version is None:
        raise BadInput(
            "the pinned parent must stand in the registry",
            received=f"{registry.model_name} without version {number}",
            remedy="restore the MLflow store, or pin another version by filing a request",
        )
    receipt = Receipt(
        model_name=version.model_name,
        version=version.version,
        original_version=original_version,
        parent_version=int(version.tags.get("dlfd.parent_version", original_version)),
        run_id=version.run_id,
        store=store.description,
        weights_digest=inputs.digests[UNLEARNED],
        forget_list_digest=version.tags.get("dlfd.forget_list_digest", UNKNOWN),
        manifest_digest=version.tags.get("dlfd.manifest_digest", UNKNOWN),
        gate=version.tags.get(GATE_TAG, UNKNOWN),
    )
    _write_receipt(receipt, layout)
    _LOGGER.info("nothing new to forget: %s version %d stands", receipt.model_name, receipt.version)
    return receipt


def _write_receipt(receipt: Receipt, layout: Layout) -> None:
    write_text(layout.receipt, receipt.model_dump_json(indent=2) + "\n")


def _metrics_of(model: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return a model's numbers without its name, so that MLflow compares runs; the gap is the unlearned model's."""
    own = {name.removeprefix(f"{model}."): value for name, value in metrics.items() if name.startswith(f"{model}.")}
    gap = {name: value for name, value in metrics.items() if name.startswith("retrain_gap.")}
    return own | (gap if model == UNLEARNED else {})


def _record(layout: Layout, store: Store, inputs: _Inputs, version: RegisteredVersion) -> None:
    named = {"model_name": version.model_name, "version": version.version}
    registered = {
        **named,
        "run_id": version.run_id,
        "weights_digest": inputs.digests[UNLEARNED],
        "forget_list_digest": inputs.forget_list.digest(),
        "request_ids": list(inputs.request_ids),
        "store": store.description,
        "provenance": {tag: version.tags.get(tag, UNKNOWN) for tag in inputs.provenance.tags()},
    }
    gated = {
        **named,
        "store": store.description,
        "passed": inputs.decision.passed,
        "rules": [asdict(rule) for rule in inputs.decision.rules],
    }
    Ledger(layout.ledger).append_all([("registered", registered), ("gated", gated)])
