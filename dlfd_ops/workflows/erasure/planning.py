"""The plan of an erasure: what a survey found, as targets, each with what is to be done with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from dlfd_ops.data.trained_on import read_trained_on
from dlfd_ops.deletion.erasure import (
    FOREIGN,
    OUTSIDE,
    PREPARED,
    RAW,
    RESIDUE,
    SHARED,
    TRACKED,
    WORKING_TREE,
    Intent,
    Kind,
    Plan,
    Target,
)
from dlfd_ops.digest import sha256_bytes, sha256_file
from dlfd_ops.models.checkpoint import WEIGHTS, weights_digest
from dlfd_ops.storage.history import was_committed
from dlfd_ops.tracking.store import EMBEDDED_ARTIFACTS, EMBEDDED_DATABASE
from dlfd_ops.workflows.erasure.contents import runs_naming, tables_of
from dlfd_ops.workflows.erasure.models import older_models, pointer_of, retrained_without
from dlfd_ops.workflows.erasure.people import cleared
from dlfd_ops.workflows.erasure.private import half_replaced, private_files
from dlfd_ops.workflows.erasure.survey import Surroundings, Survey

EXPERIMENTS = "Git references of DVC experiments"
NEVER_REACHED = (
    "clones of this repository, their working trees and their DVC caches, on this and on other machines",
    "backups, and snapshots of file systems",
    "Git history: pointers of older revisions and of experiments name contents that are gone",
    "copies of photos, of models and of prepared data that somebody made outside of this pipeline",
    "earlier versions of objects in buckets that keep versions",
)
COMMITTED_STORE = (
    "Git history: MLflow's store was committed to it, models and all; rewrite the history and ignore the store"
)
ADOPTED = "the model that the original was adopted from, in the registry or the file that it came from"


class Planner:
    """Draws the plan up.

    Args:
        around: where to look.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._survey = Survey(around)
        # Folders whose weights the erasure replaces: by a record, and by the version that serves.
        self._replaced = frozenset({around.layout.model("original"), around.layout.parent_model})

    def intent(self) -> Intent:
        """Return the plan, and what it takes to carry it out.

        Raises:
            BadInput: a store can't be read, the pipeline is not up to date, or it is not certain what must stay.
        """
        around = self._around
        self._survey.check_certain()
        targets = tuple(sorted(self._targets(), key=lambda target: (target.store, target.kind, target.name)))
        suppress, record = tuple(around.people.suppressed(around.key)), read_trained_on(around.layout.trained_on)
        plan = Plan(
            key_id=around.key.key_id,
            request_ids=around.people.request_ids,
            items=tuple(target.item() for target in targets),
            merged_names=around.people.merged_names,
            unreadable_revisions=tuple(around.history.recording(self._gone(targets))),
            not_reached=self._not_reached(),
        )
        changing = [self._survey.source_folder, around.layout.prepared, around.layout.model("original")]
        return Intent(
            plan=plan,
            suppress=suppress,
            source=around.params.prepare.root,
            photos=tuple(photo.path for photo in self._survey.raw_photos) if self._survey.removes_raw else (),
            recorded=around.repository.recorded_dependencies(changing),
            remotes=self._remotes_to_update(),
            manifest_before=around.people.manifest.digest(),
            trained_on_before=record.digest(),
            trained_on_after=cleared(record, suppress, around.people.manifest).digest(),
            targets=targets,
        )

    def _targets(self) -> Iterator[Target]:
        found = [*self._photos_of_the_workspace(), *self._objects(), *self._weights()]
        gone = self._gone(found)
        found += [*self._runs(gone), *self._experiments(gone)]
        found += older_models(self._around.params, self._around.layout, self._around.key, self._around.people)
        yield from found
        if half_replaced(self._around.layout) or any(target.outcome == "remove" for target in found):
            yield from self._traces()

    def _photos_of_the_workspace(self) -> Iterator[Target]:
        keep = "" if self._survey.removes_raw else OUTSIDE
        for photo in self._survey.raw_photos:
            yield self._target("photo", RAW, photo.path, shown=photo.sample_id, keep=keep)
        for table in self._survey.tables:
            yield self._target("table", RAW, table, keep=keep)
        for _, path in self._survey.prepared_images:
            yield self._target("photo", PREPARED, str(path), shown=path.stem)

    def _objects(self) -> Iterator[Target]:
        survey = self._survey
        residue = f"{RESIDUE}: {survey.policy.ground}" if survey.policy.older_revisions == "keep" else ""
        tables = tables_of(survey.stores, survey.listings, survey.unchanged)
        for store, contents in survey.stores.contents.items():
            for oid, paths in sorted(contents.objects.items()):
                for path in paths:
                    if oid in survey.photos:
                        keep = SHARED if oid in survey.shared else ""
                        yield self._target("photo", store.name, path, shown=survey.photos[oid], keep=keep, oid=oid)
                    elif oid in survey.listings:
                        keep = residue or ("" if survey.is_ours(oid) else FOREIGN)
                        yield self._target("listing", store.name, path, keep=keep, oid=oid)
                    elif oid in tables:
                        yield self._target("table", store.name, path, keep=residue, oid=oid)

    def _weights(self) -> Iterator[Target]:
        survey = self._survey
        residue = f"{RESIDUE}: {survey.policy.ground}" if survey.policy.older_models == "keep" else ""
        yield from self._weights_of_the_workspace(residue)
        keep: dict[str, str] = {}
        shown: dict[str, tuple[Kind, str]] = {}
        tracked = self._tracked_beside()
        for recorded, oid, kind, digest in self._recorded():
            stays = TRACKED if oid in tracked else "" if survey.is_ours(recorded) else FOREIGN
            keep[oid] = keep.get(oid) or stays or residue
            shown.setdefault(oid, (kind, digest))
        for store, contents in survey.stores.contents.items():
            for oid in sorted(keep):
                kind, digest = shown[oid]
                for path in contents.objects.get(oid, ()):
                    yield self._target(kind, store.name, path, keep=keep[oid], oid=oid, weights=digest)

    def _recorded(self) -> Iterator[tuple[str, str, Kind, str]]:
        """Yield what knew or names one of the people: what records it, its object, its kind, the digest of weights."""
        for recorded, model in self._survey.models.items():
            yield recorded, recorded, "model", model.digest
            yield recorded, model.oid, "model", model.digest
        for listing, record in self._survey.records.items():
            yield listing, listing, "listing", ""
            yield listing, record, "table", ""

    def _tracked_beside(self) -> set[str]:
        """Return every object of the newest revision, save those that only outputs hold whose weights go."""
        survey = self._survey
        going = {*self._replaced, survey.adopted}
        stay = [oid for oid, outputs in survey.current.items() if not outputs <= going]
        return {*stay, *(oid for listing in stay for oid in survey.stores.listings.get(listing, {}).values())}

    def _weights_of_the_workspace(self, residue: str) -> Iterator[Target]:
        """Yield the weights that lie in the working tree; the pinned parent is replaced, whatever the policy says."""
        layout, safe = self._around.layout, self._survey.safe_weights
        for folder, keep in ((layout.model("original"), residue), (layout.parent_model, "")):
            path = folder / WEIGHTS
            if path.exists() and (digest := weights_digest(folder)) not in safe:
                yield self._target("model", WORKING_TREE, str(path), keep=keep, weights=digest)
        retrained = layout.model("retrained")
        if (retrained / WEIGHTS).exists() and not retrained_without(layout, self._around.people):
            path, digest = retrained / WEIGHTS, weights_digest(retrained)
            yield self._target("model", WORKING_TREE, str(path), keep=residue, weights=digest)
        adopted = self._survey.adopted
        if adopted and (adopted.exists() or pointer_of(adopted).exists()):
            digest = self._adopted_digest(adopted)
            if digest not in safe:
                yield self._target("model", WORKING_TREE, str(adopted), keep=residue, weights=digest)

    def _adopted_digest(self, path: Path) -> str:
        """Return the SHA-256 of the adopted weights; where they are not checked out, by the stores, or empty."""
        if path.exists():
            return sha256_file(path)
        oid = self._around.repository.outputs().get(path, "")
        content = self._survey.stores.read(oid)
        return sha256_bytes(content) if content is not None else ""

    def _runs(self, gone: Collection[str]) -> Iterator[Target]:
        for store, path in runs_naming(self._survey.stores, gone):
            yield self._target("run cache", store.name, path)

    def _experiments(self, gone: Collection[str]) -> Iterator[Target]:
        commits = set(self._around.history.recording(gone))
        for reference, commit in self._around.history.experiments.items():
            if commit in commits:
                yield self._target("experiment", EXPERIMENTS, reference)

    def _traces(self) -> Iterator[Target]:
        for kind, path in private_files(
            self._around.layout, self._survey.source_folder if self._survey.removes_raw else None
        ):
            yield self._target(kind, WORKING_TREE, str(path))
        for store, contents in self._survey.stores.contents.items():
            for name in contents.temporary if store.own else ():
                yield self._target("temporary file", store.name, name)
        yield self._target("state database", "DVC site cache", str(self._around.repository.state()))

    def _target(
        self, kind: Kind, store: str, name: str, *, keep: str = "", shown: str = "", oid: str = "", weights: str = ""
    ) -> Target:
        return Target(
            object=shown or self._around.key.object_key(name),
            kind=kind,
            store=store,
            outcome="keep" if keep else "remove",
            ground=keep,
            name=name,
            oid=oid,
            weights=weights,
        )

    def _gone(self, targets: Collection[Target]) -> set[str]:
        return {target.oid for target in targets if target.oid and target.outcome == "remove"}

    def _remotes_to_update(self) -> tuple[str, ...]:
        """Return the remotes that hold data or models as they stand: they must get them as they will stand."""
        outputs = self._around.repository.outputs()
        data = (self._survey.source_folder, self._around.layout.prepared)
        changing = {outputs.get(folder) for folder in (*data, *self._replaced)}
        listings = changing & {*self._survey.listings, *self._survey.models}
        return tuple(
            store.remote
            for store, contents in self._survey.stores.contents.items()
            if store.remote is not None and listings & contents.objects.keys()
        )

    def _not_reached(self) -> tuple[str, ...]:
        versioned = self._around.repository.remotes().versioned
        found = [f"DVC remote {name}: it keeps versions, remove them with its provider's tools" for name in versioned]
        found += [
            f"{store.name}: what interrupted transfers, maybe of others, left there ({len(contents.temporary)})"
            for store, contents in self._survey.stores.contents.items()
            if contents.temporary and not store.own
        ]
        if was_committed(self._around.layout.root, (EMBEDDED_DATABASE, EMBEDDED_ARTIFACTS)):
            found.append(COMMITTED_STORE)
        return (*found, *NEVER_REACHED, *([ADOPTED] if self._survey.adopted else []))
