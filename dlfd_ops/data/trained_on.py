"""What the original was trained on, whatever the newest data say.

The original is trained once, and deliveries go on. The manifest says who is drawn into ``train`` today; the record
beside the original's weights says what it saw. Where the two differ the record holds: what is on it is to be forgotten
when its person asks, whatever split it is drawn into by now, and from what is not nobody learns.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.data.manifest import Manifest, among
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, regular_file

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TRAINED_ON = "trained_on.parquet"
LATER = "later"
"""The split of a photo that the original never saw and that can't stand for a stranger: a later delivery brought it
into ``train``, or it is a further one of a person whom the original knows."""

_COLUMNS = ["sample_id", "subject_key"]
_METADATA_KEY = b"dlfd_ops"


@dataclass(frozen=True)
class TrainedOn:
    """The photos that the original was trained on.

    Attributes:
        rows: text columns ``sample_id`` (64 hex, each once) and ``subject_key`` (64 hex, of the person as the data had
            it then); index 0..n-1.
        key_id: public id of the secret key that both were made with.
    """

    rows: pd.DataFrame
    key_id: str

    def digest(self) -> str:
        """Return the SHA-256 of the content: photos, people and key, not the file's bytes."""
        lines = sorted((self.rows["sample_id"] + " " + self.rows["subject_key"]).to_list())
        return sha256_bytes("\n".join([self.key_id, *lines]).encode())

    def as_split(self, manifest: Manifest, aliases: Mapping[str, str]) -> Manifest:
        """Return the data as they are to the original and to all that is made from it.

        ``train`` is what the original was trained on and is still there. Of the others, those in ``train`` and those of
        people whom the original knows stand in :data:`LATER`; strangers stay where they are.

        Args:
            manifest: all samples, as prepared; its digest, and not the result's, names the data.
            aliases: subject key of a name that was merged into another -> subject key that the manifest has instead.

        Raises:
            BadInput: the two were made with different secret keys.
        """
        if manifest.info.key_id != self.key_id:
            raise BadInput(
                "the data and the record of what the original was trained on must be made with the same secret key",
                received=f"the data with key {manifest.info.key_id}, the record with key {self.key_id}",
                remedy="restore the key and run the prepare stage again (docs/requests.md, section on the key)",
            )
        rows = manifest.rows
        trained = among(rows["sample_id"], self.rows["sample_id"])
        people = rows["subject_key"]
        later = (rows["split"] == "train") | among(people, self._people(aliases)) | among(people, people[trained])
        return replace(manifest, rows=rows.assign(split=rows["split"].mask(later, LATER).mask(trained, "train")))

    def gone_from(self, known: Manifest, aliases: Mapping[str, str]) -> pd.DataFrame:
        """Return what the data no longer have, as rows of ``train``: the columns of ``rows``, and ``split``.

        Args:
            known: the data as :meth:`as_split` returns them.
            aliases: as there; people stand by the names of today.
        """
        there = known.rows.loc[known.rows["split"] == "train", "sample_id"]
        gone = self.rows[~among(self.rows["sample_id"], there)] if len(there) < len(self) else self.rows[:0]
        people = [aliases.get(subject, subject) for subject in gone["subject_key"]]
        return gone.assign(subject_key=people, split="train")

    def without(self, sample_ids: Collection[str], subject_keys: Collection[str], manifest: Manifest) -> TrainedOn:
        """Return the record without these photos and without these people.

        A photo that the data have under another person by now stays, under that one: two people who shared a photo
        were one person when the original was trained.

        Args:
            sample_ids: of the photos.
            subject_keys: every name of the people.
            manifest: all samples.
        """
        theirs = among(self.rows["subject_key"], subject_keys)
        rows = manifest.only(self.rows["sample_id"][theirs]).rows
        staying = rows[~among(rows["subject_key"], subject_keys)]
        owners = dict(zip(staying["sample_id"], staying["subject_key"], strict=True))
        others = [owners.get(sample) for sample in self.rows["sample_id"][theirs]]
        changed = self.rows.copy()
        changed.loc[theirs, "subject_key"] = others
        going = among(self.rows["sample_id"], sample_ids) | changed["subject_key"].isna()
        return replace(self, rows=changed[~going].reset_index(drop=True))

    def _people(self, aliases: Mapping[str, str]) -> pd.Series[str]:
        """Return the people by all their names, as often as it comes: those of today and those of then."""
        import pandas as pd

        names = self.rows["subject_key"]
        renamed = among(pd.Series(list(aliases), dtype=names.dtype), names)
        today = [subject for subject, there in zip(aliases.values(), renamed, strict=True) if there]
        both: pd.Series[str] = pd.concat([names, pd.Series(today, dtype=names.dtype)])
        return both

    def __len__(self) -> int:
        return len(self.rows)


def trained_on(manifest: Manifest) -> TrainedOn:
    """Return the record of a training on all rows of ``manifest``."""
    return TrainedOn(manifest.rows[_COLUMNS], manifest.info.key_id)


def write_trained_on(record: TrainedOn, path: Path) -> None:
    """Write ``record`` as parquet, in one rename."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array(record.rows[name], pa.string()) for name in _COLUMNS}
    metadata = {_METADATA_KEY: json.dumps({"key_id": record.key_id}).encode()}
    with atomic_path(path) as temporary:
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, temporary, compression="none", use_dictionary=False)  # hashes do not compress


def read_trained_on(path: Path) -> TrainedOn:
    """Read what :func:`write_trained_on` wrote.

    Raises:
        BadInput: no parquet file, not these columns of text, a value is missing, or a photo stands twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(regular_file(path))
        key_id = json.loads((table.schema.metadata or {})[_METADATA_KEY])["key_id"]
        record = TrainedOn(table.to_pandas(), str(key_id))
        _check(table, record)
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} must be the record of what the original was trained on",
            received=type(error).__name__,
            remedy="restore the folder with dvc checkout, or run the train stage",
        ) from error
    return record


def _check(table: pa.Table, record: TrainedOn) -> None:
    import pyarrow as pa

    types = {field.type for field in table.schema}
    if table.schema.names != _COLUMNS or not types <= {pa.string(), pa.large_string()}:
        raise ValueError(f"the columns must be {_COLUMNS}, of text")
    if record.rows.isna().to_numpy().any() or not record.rows["sample_id"].is_unique:
        raise ValueError("a photo must stand once, with its person")
