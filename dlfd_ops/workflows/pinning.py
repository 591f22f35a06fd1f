"""Pinning the parent: which model the next unlearning starts from, brought into the workspace.

Commands decide it, when a request is filed or data are erased, and write the decision into files that DVC tracks:
``deletion/parent.json`` and ``models/parent``. A stage reads these and never an alias, so that promoting or rolling
back changes no result that was computed before.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence, versions
from dlfd_ops.deletion.parent import Parent, write_note
from dlfd_ops.deletion.suppression import SUPPRESSION_FILE, read_suppression
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.forgotten import FORGOTTEN_FILE, RequestEvidence, from_metrics, write_forgotten
from dlfd_ops.evaluation.gate import accuracy_drop
from dlfd_ops.evaluation.results import read_json
from dlfd_ops.files import replaced_folder
from dlfd_ops.models.checkpoint import WEIGHTS, weights_digest
from dlfd_ops.params import load_params
from dlfd_ops.storage.dvc_files import freeze
from dlfd_ops.tracking.serving import download_checkpoint, read_champion
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.workflows.layout import Layout


def pin_parent(known: Collection[str], events: Sequence[Event], root: Path = Path()) -> Parent:
    """Choose the parent, bring its weights into ``models/parent`` and freeze the training of an accepted original.

    The champion is the parent. Without one, or where the original was trained anew since, it is the original. A model
    that still knows somebody whose data are gone can't be made to forget them: then the newest version that passed its
    gate and has forgotten all of these is.

    Args:
        known: ids of all requests of the intake.
        events: the ledger.
        root: the repository.

    Returns:
        The parent, with nothing excluded; the caller writes it.

    Raises:
        BadInput: the store does not answer, the champion is not a version of this ledger, its weights are not those
            that the ledger names, or no version has forgotten everybody whose data are gone.
    """
    layout = Layout(root)
    original = Parent(covers=tuple(sorted(set(known).intersection(trained_without(layout)))))
    choices = _Choices(layout, open_store(root), load_params().register_.model_name, versions(events))
    chosen = choices.choose(set(original.covers), _gone(layout, known))
    if chosen is None:
        write_note(layout.parent_model)
        return original
    choices.bring(chosen)
    freeze("train", root)
    return choices.parent(chosen)


@dataclass(frozen=True)
class _Choices:
    """The versions that may be the parent."""

    layout: Layout
    store: Store
    model_name: str
    registered: Sequence[VersionEvidence]

    def choose(self, original_covers: set[str], gone: set[str]) -> VersionEvidence | None:
        """Return the version to start from, or None for the original."""
        champion = self._champion()
        from_original = champion is None or self._trained_anew(champion)
        if from_original and gone <= original_covers:
            return None
        passed = [one for one in reversed(self._ours()) if one.gate == "passed"]
        for version in [*([champion] if champion else []), *passed]:
            if gone <= set(version.registered.request_ids):
                return version
        raise BadInput(
            "an unlearning must start from a model that has forgotten everybody whose data are gone",
            received=f"no passed version that has forgotten {', '.join(sorted(gone)[:5])}",
            remedy="train a new original (docs/registry.md, section on a fresh start), or restore the data",
        )

    def parent(self, chosen: VersionEvidence) -> Parent:
        """Return the pin of a version."""
        version = chosen.registered
        return Parent(
            kind="version",
            version=version.version,
            weights_digest=version.weights_digest,
            original=chosen.original,
            unlearnings=len(chosen.lineage) - 1,
            covers=tuple(sorted(version.request_ids)),
            accuracy_drop=_accuracy_drop(chosen),
        )

    def bring(self, chosen: VersionEvidence) -> None:
        """Put the weights of a version and its evidence into ``models/parent``."""
        version, evidence = chosen.registered, _evidence_of(chosen)
        folder = self.layout.parent_model
        if (folder / WEIGHTS).exists() and weights_digest(folder) == version.weights_digest:
            with replaced_folder(folder) as new:
                shutil.copytree(folder, new, dirs_exist_ok=True)
                write_forgotten(evidence, new / FORGOTTEN_FILE)
            return
        with replaced_folder(folder) as new, tempfile.TemporaryDirectory() as scratch:
            checkpoint = download_checkpoint(self.store, self.model_name, version.version, Path(scratch))
            if weights_digest(checkpoint) != version.weights_digest:
                raise BadInput(
                    "the registry must hold the weights that the ledger names",
                    received=f"{self.model_name} version {version.version} with other weights",
                    remedy="run dlfd-ops audit verify, and promote another version",
                )
            shutil.copytree(checkpoint, new, dirs_exist_ok=True)
            write_forgotten(evidence, new / FORGOTTEN_FILE)

    def _ours(self) -> list[VersionEvidence]:
        wanted = (self.model_name, self.store.description)
        return [one for one in self.registered if (one.registered.model_name, one.registered.store) == wanted]

    def _champion(self) -> VersionEvidence | None:
        champion = read_champion(self.store, self.model_name)
        if champion is None or champion.tags.get("dlfd.method") == "original":
            return None
        for one in self._ours():
            if one.registered.version == champion.version:
                return one
        raise BadInput(
            "the champion must be a version that the ledger registered",
            received=f"{self.model_name} version {champion.version}",
            remedy="run dlfd-ops audit verify, and promote a version of this pipeline",
        )

    def _trained_anew(self, champion: VersionEvidence) -> bool:
        original = self.layout.model("original")
        return (original / WEIGHTS).exists() and weights_digest(original) != champion.lineage[-1]


def _accuracy_drop(chosen: VersionEvidence) -> float | None:
    numbers = chosen.evaluated.metrics if chosen.evaluated else {}
    drop = accuracy_drop({name: value for name, value in numbers.items() if value is not None})
    return round(drop, 6) if math.isfinite(drop) else None


def _evidence_of(chosen: VersionEvidence) -> Mapping[str, RequestEvidence]:
    return from_metrics(chosen.evaluated.metrics, chosen.registered.version) if chosen.evaluated else {}


def trained_without(layout: Layout) -> Sequence[str]:
    """Return the requests whose data were gone already when the original was trained."""
    path = layout.metrics("train")
    without: Any = read_json(path).get("without", []) if path.exists() else []
    return without if isinstance(without, list) else []


def _gone(layout: Layout, known: Collection[str]) -> set[str]:
    path = layout.root / SUPPRESSION_FILE
    return {entry.request_id for entry in read_suppression(path)}.intersection(known) if path.exists() else set()
