"""Where an erasure must go: everything is looked at once, and nothing is changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dlfd_ops.data.adapters import Source, SourceRecord
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.problems import BadRow
from dlfd_ops.data.removal import RawFile, find_photos, is_photo, list_files, rows_naming, tables_without
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import WEIGHTS, weights_digest
from dlfd_ops.params import Params
from dlfd_ops.storage.history import History
from dlfd_ops.storage.repository import DvcRepository
from dlfd_ops.workflows.erasure.contents import (
    KnownModel,
    Stores,
    models_without,
    naming,
    photos_in,
    records_of,
    samples_of,
    shared,
)
from dlfd_ops.workflows.erasure.models import adopted_weights, pointer_of, safe_weights
from dlfd_ops.workflows.erasure.people import People
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import read_source


@dataclass(frozen=True)
class Surroundings:
    """Where to look.

    Attributes:
        params: of the pipeline.
        layout: of the repository.
        key: behind the keyed hashes.
        repository: under DVC's lock.
        history: of the repository.
        people: whose data go.
    """

    params: Params
    layout: Layout
    key: SecretKey
    repository: DvcRepository
    history: History
    people: People


class Survey:
    """One look at everything; each part is looked at when it is first asked for, and once.

    Args:
        around: where to look.

    Attributes:
        around: the same.
        policy: section ``erase`` of the parameters.
        source_folder: of the raw data.
        adopted: weight file that the original was adopted from, or None.
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.policy = around.params.erase
        self.source_folder = (around.layout.root / around.params.prepare.root).resolve()
        self.adopted = adopted_weights(around.params, around.layout)

    @property
    def outside(self) -> bool:
        """Whether the source lies outside of the repository; outside of the pipeline's folder it may lie."""
        return not self.source_folder.is_relative_to(self.around.repository.root)

    @property
    def removes_raw(self) -> bool:
        """Whether the raw photos are removed."""
        return not self.outside or self.policy.outside_source == "remove"

    @cached_property
    def source(self) -> Source:
        """What the prepare stage reads."""
        return read_source(self.around.params, self.source_folder)

    @cached_property
    def named(self) -> list[SourceRecord | BadRow]:
        """Its rows that name one of the people, those that the prepare stage skipped too."""
        return rows_naming(self.source, self.around.key, self.around.people.subject_keys)

    @cached_property
    def raw_photos(self) -> list[RawFile]:
        """Their files in the source."""
        return find_photos(self.source_folder, self.around.key, sample_ids=self._prepared_once, named=self.named)

    @cached_property
    def sample_ids(self) -> frozenset[str]:
        """The photos to erase, those of older deliveries included, and those that may stand under another name too."""
        return self._prepared_once | {photo.sample_id for photo in self.raw_photos}

    @cached_property
    def tables(self) -> dict[str, str]:
        """The source's tables without the rows about them, where there are any."""
        going = {photo.path for photo in self.raw_photos}
        staying = [path for path in list_files(self.source_folder) if is_photo(path) and path not in going]
        if going and not staying:
            raise BadInput(
                "an erasure must leave photos to work with",
                received="a source of which every photo would go",
                remedy="retire the data set and its models as a whole",
            )
        return tables_without(self.source_folder, going, self.source, staying, self.named)

    @cached_property
    def prepared_images(self) -> list[tuple[str, Path]]:
        """The prepared images that go: object id and path."""
        manifest = self.around.people.manifest
        rows = manifest.rows[manifest.rows["sample_id"].isin(list(self.sample_ids))]
        return [(_md5(manifest.root / path), manifest.root / path) for path in rows["path"]]

    @cached_property
    def stores(self) -> Stores:
        """The cache and the remotes."""
        repository = self.around.repository
        return Stores({store: store.look() for store in (repository.cache(), *repository.remotes().stores)})

    @cached_property
    def current(self) -> dict[str, frozenset[Path]]:
        """What the workspace records: object id -> paths of the outputs."""
        outputs = self.around.repository.outputs().items()
        return {oid: frozenset(path for path, other in outputs if other == oid) for _, oid in outputs}

    @cached_property
    def in_current(self) -> set[str]:
        """Every object in a listing that the workspace records."""
        return {oid for listing in self.current for oid in self.stores.listings.get(listing, {}).values()}

    @cached_property
    def photos(self) -> dict[str, str]:
        """Everything that shows one of the people: object id -> sample id."""
        known = {photo.md5: photo.sample_id for photo in self.raw_photos}
        known |= {oid: path.stem for oid, path in self.prepared_images}
        return photos_in(self.stores, self.around.key, self.sample_ids, known, self.in_current - known.keys())

    @cached_property
    def shared(self) -> set[str]:
        """Objects of theirs that somebody who stays needs too."""
        return shared(self.stores, self.photos, self.sample_ids)

    @cached_property
    def listings(self) -> list[str]:
        """Every listing that names one of the photos, or a table that tells about the people."""
        tables = {oid for path, oid in self._raw_listing.items() if path in self.tables}
        return naming(self.stores, (self.photos.keys() - self.shared) | tables)

    @cached_property
    def safe_weights(self) -> frozenset[str]:
        """SHA-256 of every weights that forgot all of the people."""
        return safe_weights(self.around.layout, self.around.people)

    @cached_property
    def models(self) -> dict[str, KnownModel]:
        """The models in DVC's stores that knew one of the people, by what records them."""
        once = self.around.history.pointers.get(pointer_of(self.adopted), set()) if self.adopted else set()
        now = {oid for oid, outputs in self.current.items() if self.adopted in outputs}
        return models_without(self.stores, self.safe_weights, once | now)

    @cached_property
    def records(self) -> dict[str, str]:
        """What says that an original was trained on one of the people: listing -> object of the record."""
        return records_of(self.stores, self.sample_ids, self.around.people.subject_keys)

    @cached_property
    def unchanged(self) -> set[str]:
        """Files beside the raw photos that no row is taken out of."""
        return {oid for path, oid in self._raw_listing.items() if path not in self.tables}

    @cached_property
    def _prepared_once(self) -> frozenset[str]:
        people = self.around.people
        older = samples_of(self.stores, people.subject_keys, self.in_current)
        return people.sample_ids | people.without_others(older)

    @cached_property
    def _raw_listing(self) -> dict[str, str]:
        recorded = self.around.repository.outputs().get(self.source_folder, "")
        return self.stores.listings.get(recorded, {})

    def is_ours(self, oid: str) -> bool:
        """Tell a listing of this repository from one that another project left in a store that both use."""
        own = any(store.own and oid in contents.objects for store, contents in self.stores.contents.items())
        return own or oid in self.current or oid in self.around.history.recorded

    def check_certain(self) -> None:
        """Check that nothing that stays may be what is to go.

        Raises:
            BadInput: a photo is tracked elsewhere too, the pipeline's newest model knows one of the people, or the
                file that the original was adopted from is not the pipeline's own.
        """
        self._check_newest_model()
        self._check_adopted()
        ours = (self.source_folder, self.around.layout.prepared)
        for oid, output in ((oid, output) for oid, outputs in self.current.items() for output in sorted(outputs)):
            content = {oid, *self.stores.listings.get(oid, {}).values()}
            within = any(output.is_relative_to(folder) for folder in ours)
            alone = oid in self.photos and not oid.endswith(".dir")
            if content & self.photos.keys() and (alone or not within):
                raise BadInput(
                    "a photo to erase may stand in the raw and the prepared folder only",
                    received="one that DVC tracks under another path, or alone",
                    remedy=f"take it out of {self._shown(output)} first, or track the raw data as one folder",
                )

    def _check_adopted(self) -> None:
        path = self.adopted
        if path is None or self.policy.older_models == "keep":
            return
        tracked = [output for outputs in self.current.values() for output in outputs if path.is_relative_to(output)]
        alone = not tracked or (tracked == [path] and pointer_of(path).exists())
        if not alone or not path.is_relative_to(self.around.layout.root):
            raise BadInput(
                "the weights that the original was adopted from must be the pipeline's own, to be erased with it",
                received="a file outside of its folder, or one that a stage writes or DVC tracks within a folder",
                remedy="copy it to adopted/, run dvc add on the copy, and name the copy in train.factory.weights",
            )

    def _shown(self, path: Path) -> Path:
        return path.relative_to(self.around.repository.root)

    def _check_newest_model(self) -> None:
        folder = self.around.layout.model("unlearned")
        if (folder / WEIGHTS).exists() and weights_digest(folder) not in self.safe_weights:
            raise BadInput(
                "models/unlearned must have forgotten everybody whose data are erased",
                received="a model that the ledger does not say so of",
                remedy="run dvc repro, then this command again",
            )


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
