"""Building a small repository with everything that an erasure must find, and searching it for what is left."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from dvc.repo import Repo
from mlflow import MlflowClient
from PIL import Image, PngImagePlugin

from dlfd_ops.audit.certificates import Issuer, version_certificate
from dlfd_ops.audit.certifying import SERVED_FILE, Registration, end_of, model_statement
from dlfd_ops.audit.evidence import versions
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.data.synthetic_faces.dataset import Recipe, generate
from dlfd_ops.data.trained_on import read_trained_on, trained_on, write_trained_on
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.files import write_text
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.params import Params, load_params
from dlfd_ops.tracking.packaging import CHECKPOINT
from dlfd_ops.tracking.store import open_store
from dlfd_ops.workflows.certify import certify_request
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import prepare
from dlfd_ops.workflows.requests import Wish, add_requests
from dlfd_ops.workflows.retired import photos_digest

REPOSITORY = Path(__file__).resolve().parents[2]
RAW = Path("data/raw")
STORES = ("DVC cache", "DVC remote disk", "DVC remote cloud")
NUMBERS = {"accuracy": 0.75, "accuracy_forget": 0.5, "mia_auc": 0.5}
MODEL = "face-tiny"
FOREIGN_MODEL = "face-of-another-project"
OLDER_ADOPTED = "weights that an original was adopted from before"
OLDER_WEIGHTS = "weights of an original that was trained before"
FOREIGN_WEIGHTS = "weights of another project, in a remote that both use"
WEIGHTS_OF = {"original": "weights of the original in use", "unlearned": "weights that forgot"}
FACTORY = {
    "layer": "classify",
    "side": "input",
    "arguments": {},
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "weights": "adopted/weights.safetensors",
    "origin": "models:/ages/2",
}
STAGES = {
    "prepare": {
        "cmd": "echo prepare >> ran.log && exit 1",
        "deps": [str(RAW), "deletion/suppression.csv"],
        "outs": ["data/prepared"],
    },
    "train": {"cmd": "echo train >> ran.log && exit 1", "deps": ["data/prepared"], "outs": ["models/original"]},
    "unlearn": {
        "cmd": "echo unlearn >> ran.log && exit 1",
        "deps": ["data/prepared", "models/original"],
        "outs": ["models/unlearned"],
    },
    "evaluate": {
        "cmd": "echo evaluate >> ran.log && exit 1",
        "deps": ["data/prepared/manifest.parquet", "models/original", "notes.txt"],
        "metrics": [{"metrics/unlearning.json": {"cache": False}}],
    },
}


@dataclass
class Estate:
    """The repository and what is to vanish from it.

    Attributes:
        top: folder of the repository, the local remote and the site cache.
        root: the pipeline's folder.
        repository: where Git and DVC are, the same or a folder above.
        params: of the pipeline.
        address: of the S3 endpoint.
        bucket: of the S3 remote.
        subjects: raw ids of the people to erase.
        photos: their raw photos, older deliveries included: content by SHA-256.
        neighbour: raw id of a person whose prepared image equals that of somebody who is erased.
        second_name: raw id of another name of the first of the people.
        request_ids: the fulfilled requests.
        measured_on: digest of the test photos that the numbers of the models stand for.
    """

    top: Path
    root: Path
    repository: Path
    params: Params
    address: str
    bucket: str
    subjects: tuple[str, ...] = ()
    photos: dict[str, bytes] = field(default_factory=dict)
    neighbour: str = "person-neighbour"
    second_name: str = "person-again"
    request_ids: tuple[str, ...] = ()
    measured_on: str = ""

    @property
    def raw(self) -> Path:
        """The folder of the raw data."""
        return Path(self.params.prepare.root)

    @property
    def adopted(self) -> Path | None:
        """The file that the original was adopted from."""
        factory = self.params.train.factory
        return Path(str(factory.weights)) if factory is not None else None

    @property
    def client(self) -> MlflowClient:
        """A client of the MLflow store."""
        return open_store(self.root).client

    def residue(self) -> list[str]:
        """Return every place that still holds a photo, or its MD5 or SHA-256, in bytes or in its name, or weights."""
        weights = (OLDER_ADOPTED, OLDER_WEIGHTS, WEIGHTS_OF["original"])
        needles = [*(one.encode() for one in weights), *self.photos.values()]
        for content in self.photos.values():
            needles += [hashlib.md5(content).hexdigest().encode(), hashlib.sha256(content).hexdigest().encode()]
        return [
            place
            for place, content in self._everything()
            if any(needle in content for needle in needles)
            or any(needle in place.replace("/", "").encode() for needle in needles if len(needle) in (32, 64))
        ]

    def _everything(self) -> Iterator[tuple[str, bytes]]:
        for path in self.top.rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes()
        s3 = boto3.client("s3", endpoint_url=self.address)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for entry in page.get("Contents", []):
                yield entry["Key"], s3.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read()


def git(*arguments: str) -> str:
    """Run git in the working directory."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def built(top: Path, address: str, bucket: str, *, adopting: bool = False) -> Iterator[Estate]:
    """Make the repository, and work in its pipeline's folder.

    Args:
        top: where the repository goes, with the local remote and the site cache.
        address: of the S3 endpoint.
        bucket: of the S3 remote.
        adopting: as ``dlfd-ops init`` leaves it: pipeline and raw data in folders of their own, the original adopted.
    """
    repository = top / "repository"
    root = repository / "dlfd" if adopting else repository
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("DLFD_SECRET_KEY", raising=False)
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{name}_NAME", "Test")
            patch.setenv(f"{name}_EMAIL", "test@example.org")
        patch.chdir(root)
        yield _build(Estate(top, root, repository, _params(adopting), address, bucket))


def _build(estate: Estate) -> Estate:
    _configure(estate)
    generate(estate.raw, Recipe(subjects=24, seed=0, size=32))
    people = sorted({row["subject_id"] for row in rows(estate.raw)})
    estate.subjects = (people[0], people[5], people[7])  # the last one is a test person
    _plant(estate)
    _settle(estate, "first delivery")
    _collect(estate)
    _withdraw_one_photo(estate)
    for name, weights in WEIGHTS_OF.items():
        write_text(Path("models") / name / WEIGHTS, weights)
    if estate.adopted:
        write_text(estate.adopted, WEIGHTS_OF["original"])
    _settle(estate, "second delivery")
    _share_the_disk(estate.top / "disk")
    _fulfil(estate)
    return estate


def rows(raw: Path = RAW) -> list[dict[str, str]]:
    """Return the rows of the raw table."""
    with (raw / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_rows(raw: Path, table: list[dict[str, str]]) -> None:
    """Replace the raw table."""
    temporary = raw / "labels.new"
    with temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    temporary.replace(raw / "labels.csv")


def _params(adopting: bool) -> Params:
    content = load_params(REPOSITORY / "params.yaml").model_dump(by_alias=True)
    content["base"].update({"dataset": "tiny", "image_size": 16})
    if adopting:
        content["prepare"]["root"] = "../data/faces"
        content["train"].update({"architecture": "faces.model:build", "factory": FACTORY})
    content["register"]["model_name"] = MODEL
    return Params.model_validate(content)


def _configure(estate: Estate) -> None:
    Repo.init(str(estate.repository)).close()
    write_text(
        estate.repository / ".dvc/config",
        f"[core]\n    remote = disk\n    analytics = false\n    site_cache_dir = {estate.top}/site\n"
        f"['remote \"disk\"']\n    url = {estate.top}/disk\n"
        f"['remote \"cloud\"']\n    url = s3://{estate.bucket}/dvc\n    endpointurl = {estate.address}\n",
    )
    write_text(estate.repository / ".gitignore", ".dlfd/\n/mlflow.db*\n/mlartifacts/\nran.log\n")
    write_text(Path("dvc.yaml"), yaml.safe_dump({"stages": STAGES}, sort_keys=False).replace(str(RAW), str(estate.raw)))
    write_text(Path("params.yaml"), yaml.safe_dump(estate.params.model_dump(mode="json", by_alias=True)))
    write_text(Path("notes.txt"), "as evaluated\n")
    write_text(Path("models/original/weights.safetensors"), OLDER_WEIGHTS)
    if estate.adopted:
        write_text(estate.adopted, OLDER_ADOPTED)
    write_text(Path("models/unlearned/weights.safetensors"), "weights of an earlier trial")
    write_text(Path("metrics/unlearning.json"), json.dumps({"original": NUMBERS, "unlearned": NUMBERS}))
    header = (REPOSITORY / "deletion/suppression.csv").read_text().splitlines()[0]
    write_text(Path("deletion/suppression.csv"), header + "\n")


def _plant(estate: Estate) -> None:
    """Give the neighbour a photo with other bytes and the same pixels as one that will be erased.

    That one is also filed under a second name, which makes the two names one person.
    """
    raw, table = estate.raw, rows(estate.raw)
    theirs = next(row for row in table if row["subject_id"] == estate.subjects[0])
    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", "another file, the same picture")
    with Image.open(raw / theirs["image"]) as image:
        image.save(raw / "images" / "neighbour.png", pnginfo=comment)
    second = {**theirs, "subject_id": estate.second_name}
    write_rows(raw, [*table, second, {**theirs, "image": "images/neighbour.png", "subject_id": estate.neighbour}])


def _collect(estate: Estate) -> None:
    for row in rows(estate.raw):
        if row["subject_id"] in estate.subjects:
            content = (estate.raw / row["image"]).read_bytes()
            estate.photos[hashlib.sha256(content).hexdigest()] = content


def _withdraw_one_photo(estate: Estate) -> None:
    """Deliver again without one photo of a person: it lives on in the older revision alone."""
    table = rows(estate.raw)
    older = [row for row in table if row["subject_id"] == estate.subjects[1]][-1]
    (estate.raw / older["image"]).unlink()
    write_rows(estate.raw, [row for row in table if row is not older])


def _settle(estate: Estate, message: str) -> None:
    """Prepare, record everything as done, push to both remotes, commit."""
    prepare(estate.params)
    write_trained_on(trained_on(read_manifest(Layout().manifest).split("train")), Layout().trained_on)
    with Repo(".") as repo:
        repo.add([str(path) for path in (estate.raw, estate.adopted) if path])
        repo.commit(force=True)
        for remote in ("disk", "cloud"):
            repo.push(remote=remote, run_cache=True)
    git("add", "--all")
    git("commit", "--quiet", "--message", message)


def _share_the_disk(disk: Path) -> None:
    """Put the model and the manifest of another project, made with other software, into the remote on disk."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"file": ["a.png"]}), stream)
    write_text(disk / "files/md5/00/part.tmp", "what a transfer left")
    for name, content in ((WEIGHTS, FOREIGN_WEIGHTS.encode()), ("manifest.parquet", stream.getvalue())):
        entry = {"md5": _put(disk, content), "relpath": name}
        _put(disk, json.dumps([entry]).encode(), ".dir")


def _put(disk: Path, content: bytes, ending: str = "") -> str:
    """Store a content as DVC does; return its MD5."""
    oid = hashlib.md5(content).hexdigest()
    path = disk / "files/md5" / oid[:2] / (oid[2:] + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return oid


def _fulfil(estate: Estate) -> None:
    """File the requests, register an original and a version that forgot, let it pass the gate, and serve it."""
    filed = add_requests([Wish("gdpr", subject=subject) for subject in estate.subjects])
    estate.request_ids = tuple(sorted(one.request.request_id for one in filed))
    original, unlearned = (register_model(estate, MODEL, WEIGHTS_OF[name]) for name in ("original", "unlearned"))
    register_model(estate, FOREIGN_MODEL, FOREIGN_WEIGHTS)
    store = open_store(estate.root)
    estate.measured_on = photos_digest(read_manifest(Layout().manifest))
    ledger = Ledger()
    weights = {name: sha256_bytes(content.encode()) for name, content in WEIGHTS_OF.items()}
    tell_of_a_version(
        ledger,
        {"request_ids": list(estate.request_ids), "forget_list_digest": "f" * 64},
        parent_weights=weights["original"],
        weights=weights["unlearned"],
        named={"model_name": MODEL, "version": unlearned, "store": store.description},
    )
    _certify(estate, ledger)
    store.client.set_registered_model_alias(MODEL, "champion", str(original))
    with Repo(".") as repo:
        for remote in ("disk", "cloud"):
            repo.push(remote=remote)
    git("add", "--all")
    git("commit", "--quiet", "--message", "Fulfilled")


def tell_of_a_version(
    ledger: Ledger, listed: dict[str, Any], *, parent_weights: str, weights: str, named: dict[str, Any]
) -> None:
    """Write into the ledger what the stages from forget_list to register do of a version whose gate passed.

    Args:
        ledger: of the repository.
        listed: ``request_ids`` and ``forget_list_digest``.
        parent_weights: digest of the weights that it was made from.
        weights: digest of its weights.
        named: model name, version and store.
    """
    data = {
        "manifest_digest": read_manifest(Layout().manifest).digest(),
        "trained_on_digest": read_trained_on(Layout().trained_on).digest(),
    }
    made = {"method": "dlfd/anchored", "params_digest": "e" * 64, "git_commit": "0" * 40}
    metrics = {f"{model}.{name}": value for model in WEIGHTS_OF for name, value in NUMBERS.items()}
    measured = {"weights_digest": weights, "forget_list_digest": listed["forget_list_digest"], "metrics": metrics}
    ledger.append_all(
        [
            ("resolved", {**listed, **data, "forget_count": 4}),
            ("unlearned", {**listed, **made, "parent_weights_digest": parent_weights, "weights_digest": weights}),
            ("evaluated", measured),
            ("registered", {**listed, **named, "run_id": "run", "weights_digest": weights, "provenance": {}}),
            ("gated", {**named, "passed": True, "rules": []}),
        ]
    )


def register_model(estate: Estate, registered_model: str, weights: str) -> int:
    """Log a model in the experiment of the data set, and register it; the store may be shared."""
    store = open_store(estate.root)
    experiment = store.experiment_id("dlfd-tiny")
    if not store.client.search_registered_models(f"name = '{registered_model}'"):
        store.client.create_registered_model(registered_model)
    model = store.client.create_logged_model(experiment, name=registered_model)
    with TemporaryDirectory() as folder:
        write_text(Path(folder) / SERVED_FILE, weights)
        write_text(Path(folder) / CHECKPOINT / WEIGHTS, weights)
        store.client.log_model_artifacts(str(model.model_id), folder)
    with store.as_default():
        version = store.client.create_model_version(
            registered_model,
            source=str(model.model_uri),
            model_id=str(model.model_id),
            tags={"dlfd.weights_digest": sha256_bytes(weights.encode())},
        )
    return int(version.version)


def _certify(estate: Estate, ledger: Ledger) -> None:
    """Certify the version that forgot, and the requests, as the pipeline and the privacy team do."""
    events = ledger.events()
    version = versions(events)[0]
    registration = Registration("a" * 64, "b" * 64, None, parent_version=1, evidence_digest="c" * 64)
    statement = model_statement(events, version, registration, end_of(events))
    Issuer(estate.root, ledger).issue(version_certificate(MODEL, 2), statement, estate.request_ids)
    certify_request(estate.request_ids[0])
