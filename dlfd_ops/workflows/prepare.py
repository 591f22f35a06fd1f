"""The prepare stage: from a source of face images to the manifest and the prepared images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from dlfd_ops.data.adapters import ADAPTERS, Source, SourceRecord
from dlfd_ops.data.adapters.manifest_csv import read_manifest_csv
from dlfd_ops.data.conversion import Converted, ImageConverter, image_path
from dlfd_ops.data.decoding import Limits
from dlfd_ops.data.identity import SecretKey, canonical_name, project_key
from dlfd_ops.data.manifest import SPLITS, Manifest, ManifestInfo, validate_manifest, write_manifest
from dlfd_ops.data.problems import BadRow, Reason
from dlfd_ops.data.splits import assign_published_splits, assign_splits
from dlfd_ops.data.subjects import Sighting, Subject, agree_labels, alias_table, merge_subjects, write_aliases
from dlfd_ops.errors import BadInput
from dlfd_ops.files import replaced_folder, write_text
from dlfd_ops.params import Params
from dlfd_ops.workflows.refusals import BAD_IMAGES_FILE, Refusals
from dlfd_ops.workflows.suppressing import Suppression

PREPARED = Path("data/prepared")

_BYTES_PER_MEGABYTE = 1_000_000
_PIXELS_PER_MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class SplitCount:
    """The size of a split."""

    images: int
    subjects: int


@dataclass(frozen=True)
class PrepareReport:
    """What became of a source's rows; numbers only.

    Attributes:
        read: rows of the source; equals ``kept`` + ``suppressed`` + ``duplicates`` + all of ``skipped``.
        kept: distinct usable images.
        suppressed: distinct images left out, as the suppression list demands.
        near_suppressed: kept images that look like suppressed ones; a person must decide about them.
        duplicates: further rows with the bytes of another image.
        merged_subjects: names given up because they share a photo with another name.
        subjects_in_several_parts: people that the source publishes in more than one part.
        conflicting_labels: kept images whose rows disagree on a label.
        skipped: refused rows by reason.
        splits: size of every split.
    """

    read: int
    kept: int
    suppressed: int
    near_suppressed: int
    duplicates: int
    merged_subjects: int
    subjects_in_several_parts: int
    conflicting_labels: int
    skipped: dict[str, int]
    splits: dict[str, SplitCount]


def prepare(params: Params, out: Path = PREPARED) -> PrepareReport:
    """Write prepared images, ``manifest.parquet``, ``aliases.csv`` and ``report.json`` into ``out``, replacing it.

    Running it again on the same source with the same parameters and key writes the same bytes.

    Raises:
        BadInput: the source, the key or a parameter breaks a rule, a row is bad and ``on_bad_image`` is ``error``,
            nothing usable is left, or a split stays empty. ``out`` is then as it was.
    """
    key = project_key()
    root = _source_root(params.prepare.root, out)
    suppression = Suppression(key)
    source = read_source(params, root)
    _check_source(source, params)
    refusals = Refusals(params.prepare.on_bad_image)
    records = _usable_records(source, params, refusals)
    with replaced_folder(out) as folder:
        converter = ImageConverter(root, folder / "images", params.base.image_size, _limits(params), key)
        sightings, origins = _convert(converter, records, refusals, key)
        subjects = suppression.leave_out(merge_subjects(sightings), folder / "images")
        if not subjects:
            raise _nothing_left(refusals)
        kept = {sample_id for subject in subjects for sample_id in subject.sample_ids}
        labels, conflicts = agree_labels([one for one in sightings if one.sample_id in kept], source.classes)
        rows = _rows(subjects, _assign(subjects, params), labels, source.classes)
        info = ManifestInfo(
            params.base.dataset,
            key.key_id,
            params.base.image_size,
            dict(source.classes),
            suppressed=len(origins) - len(kept),
            suppressed_requests=suppression.request_ids,
        )
        manifest = Manifest(rows, info, folder)
        validate_manifest(manifest)
        near = suppression.report_near(subjects, folder / "images", origins)
        report = _report(sightings, subjects, refusals, manifest, conflicts=conflicts, near=near)
        write_manifest(manifest, folder / "manifest.parquet")
        write_aliases(alias_table(subjects), folder / "aliases.csv")
        write_text(folder / "report.json", json.dumps(asdict(report), indent=2, sort_keys=True) + "\n")
    refusals.publish()
    return report


def read_source(params: Params, root: Path) -> Source:
    """Return what the adapter of the section ``prepare`` reads below ``root``, in the wanted order of classes.

    Raises:
        BadInput: the source's layout is not there, or ``prepare.columns`` or ``prepare.classes`` do not fit it.
    """
    columns = {str(ours): theirs for ours, theirs in params.prepare.columns.items()}
    source = read_manifest_csv(root, columns) if columns else ADAPTERS[params.prepare.source](root)
    return _in_order(source, params.prepare.classes)


def _in_order(source: Source, wanted: Mapping[str, Sequence[str]]) -> Source:
    for label, names in wanted.items():
        if sorted(names) != sorted(source.classes.get(label, ())):
            raise BadInput(
                f"prepare.classes must list the classes of {label} as the source has them, in another order",
                received=", ".join(names)[:120],
                remedy=f"the source has: {', '.join(source.classes.get(label, ()))[:120] or 'no such label'}",
            )
    ordered = {label: tuple(wanted.get(label, names)) for label, names in source.classes.items()}
    return replace(source, classes=ordered)


def _source_root(root: str, out: Path) -> Path:
    folder = Path(root)
    if not folder.is_dir():
        raise BadInput(
            "prepare.root must be a folder with the source's images",
            received="no such folder",
            remedy="correct prepare.root, or bring the data with dvc pull (the synthetic source: make repro)",
        )
    inside, outside = folder.resolve(), out.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise BadInput(
            "prepare.root and the prepared folder must lie apart",
            received="one inside the other",
            remedy="point prepare.root at the raw data only",
        )
    return inside


def _check_source(source: Source, params: Params) -> None:
    unknown = [label for label in params.base.labels if label not in source.classes]
    if unknown and source.records:
        raise BadInput(
            "base.labels must name labels of the source",
            received=", ".join(unknown),
            remedy=f"choose from: {', '.join(source.classes) or 'none found'}",
        )
    by_source = params.prepare.split_by == "source"
    if by_source and source.records and all(record.split is None for record in source.records):
        raise BadInput(
            "prepare.split_by source needs a source that publishes splits",
            received=f"none in {source.files}",
            remedy="set prepare.split_by to subject",
        )


def _usable_records(source: Source, params: Params, refusals: Refusals) -> list[SourceRecord]:
    for problem in source.problems:
        refusals.add(problem)
    if params.prepare.split_by == "subject":
        return list(source.records)
    for record in source.records:
        if record.split is None:
            refusals.add(BadRow(record.where, Reason.UNKNOWN_SPLIT, str(record.path)))
    return [record for record in source.records if record.split is not None]


def _convert(
    converter: ImageConverter, records: Sequence[SourceRecord], refusals: Refusals, key: SecretKey
) -> tuple[list[Sighting], dict[str, SourceRecord]]:
    """Return the usable rows, and for every sample the first row that it stands in."""
    sightings: list[Sighting] = []
    origins: dict[str, SourceRecord] = {}
    outcomes = tqdm(converter.convert(records), total=len(records), desc="prepare", unit="image", disable=None)
    for record, outcome in zip(records, outcomes, strict=True):
        if isinstance(outcome, Reason):
            refusals.add(BadRow(record.where, outcome, str(record.path)))
        else:
            sightings.append(_sighting(record, outcome, key))
            origins.setdefault(outcome.sample_id, record)
    return sightings, origins


def _sighting(record: SourceRecord, converted: Converted, key: SecretKey) -> Sighting:
    name = None if record.subject is None else canonical_name(record.subject)
    return Sighting(
        sample_id=converted.sample_id,
        subject_key=None if name is None else key.subject_key(name),
        labels=record.labels,
        split=record.split,
        identity=f"photo {converted.content_digest}" if name is None else f"name {name}",
    )


def _assign(subjects: Sequence[Subject], params: Params) -> dict[str, str]:
    """Return the split of every subject key; drawn by raw identities, so that another key means no other split."""
    shares: dict[str, float] = params.prepare.splits.model_dump()
    if params.prepare.split_by == "subject":
        drawn = assign_splits((subject.identity for subject in subjects), shares, params.base.seed)
    else:
        published = {subject.identity: subject.splits for subject in subjects}
        drawn = assign_published_splits(published, shares, params.base.seed, draw_from=params.prepare.draw_from)
    return {subject.subject_key: drawn[subject.identity] for subject in subjects}


def _rows(
    subjects: Sequence[Subject],
    splits: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
    classes: Mapping[str, tuple[str, ...]],
) -> pd.DataFrame:
    numbers = {label: {name: number for number, name in enumerate(names)} for label, names in classes.items()}
    samples = [(sample_id, subject.subject_key) for subject in subjects for sample_id in subject.sample_ids]
    columns: dict[str, list[str] | list[int]] = {
        "sample_id": [sample_id for sample_id, _ in samples],
        "path": [f"images/{image_path(sample_id)}" for sample_id, _ in samples],
        "subject_key": [subject_key for _, subject_key in samples],
        "split": [splits[subject_key] for _, subject_key in samples],
    }
    columns |= {label: [of[labels[sample_id][label]] for sample_id, _ in samples] for label, of in numbers.items()}
    rows = pd.DataFrame(columns)
    return rows.sort_values("sample_id").reset_index(drop=True)


def _report(
    sightings: Sequence[Sighting],
    subjects: Sequence[Subject],
    refusals: Refusals,
    manifest: Manifest,
    *,
    conflicts: int,
    near: int,
) -> PrepareReport:
    by_split = {split: manifest.split(split).rows for split in SPLITS}
    return PrepareReport(
        read=len(sightings) + len(refusals),
        kept=len(manifest),
        suppressed=manifest.info.suppressed,
        near_suppressed=near,
        duplicates=len(sightings) - len(manifest) - manifest.info.suppressed,
        merged_subjects=sum(max(len(subject.aliases) - 1, 0) for subject in subjects),
        subjects_in_several_parts=sum(len(subject.splits) > 1 for subject in subjects),
        conflicting_labels=conflicts,
        skipped=refusals.counts(),
        splits={
            split: SplitCount(images=len(rows), subjects=int(rows["subject_key"].nunique()))
            for split, rows in by_split.items()
        },
    )


def _limits(params: Params) -> Limits:
    return Limits(
        max_bytes=int(params.prepare.max_file_megabytes * _BYTES_PER_MEGABYTE),
        max_pixels=int(params.prepare.max_megapixels * _PIXELS_PER_MEGAPIXEL),
    )


def _nothing_left(refusals: Refusals) -> BadInput:
    refusals.publish()
    return BadInput(
        "the source must hold at least one usable image",
        received=f"none, {len(refusals)} rows refused",
        remedy=f"see {BAD_IMAGES_FILE}" if len(refusals) else "check prepare.source and prepare.root",
    )
