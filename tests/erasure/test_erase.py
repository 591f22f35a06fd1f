"""Erasing the data of fulfilled requests; the tests tell one story, in order."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from dvc.repo import Repo, lock_repo

from dlfd_ops.audit.certificates import Issuer, request_certificate, version_certificate
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.statement import RequestStatement
from dlfd_ops.audit.verification import MANIFEST, ORIGINAL, TRAINED_ON, Found, compare_files
from dlfd_ops.cli import main
from dlfd_ops.data.identity import project_key
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.data.trained_on import TrainedOn, read_trained_on
from dlfd_ops.deletion.erasure import FOREIGN, INTENT_FILE, SHARED, Receipt
from dlfd_ops.deletion.parent import read_parent
from dlfd_ops.deletion.suppression import SUPPRESSION_FILE, read_suppression
from dlfd_ops.digest import sha256_bytes, sha256_file
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.files import write_bytes, write_text
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.tracking.removal import ERASED_TAG, stored_models
from dlfd_ops.tracking.store import open_store
from dlfd_ops.tracking.versions import CERTIFICATE_TAG
from dlfd_ops.workflows.audit_certificates import compare_certificates
from dlfd_ops.workflows.audit_files import read_found
from dlfd_ops.workflows.audit_stores import compare_stores
from dlfd_ops.workflows.erase import Planned, plan_erasure, run_erasure
from dlfd_ops.workflows.erasure.steps import STEPS, prepare_again
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.retired import photos_digest, read_retired
from tests.erasure.estate import (
    FOREIGN_WEIGHTS,
    MODEL,
    NUMBERS,
    RAW,
    STORES,
    WEIGHTS_OF,
    Estate,
    git,
    register_model,
    rows,
)


def yes(planned: Planned) -> None:
    """Approve."""


def no(planned: Planned) -> None:
    """Disapprove."""
    raise AssertionError("was asked")


@pytest.fixture(scope="module")
def served(estate: Estate) -> Estate:
    """The repository once the version that forgot is the one in use."""
    estate.client.set_registered_model_alias(MODEL, "champion", "2")
    return estate


@pytest.fixture(scope="module")
def erased(served: Estate) -> Estate:
    """The repository after an erasure that was killed after each of its steps and taken up again each time.

    And once within a step: between the two renames that replace the prepared data.
    """
    for count in range(1, len(STEPS) + 1):
        if STEPS[count - 1] is prepare_again:
            shutil.rmtree("data/prepared")
        run_erasure(served.params, approve=yes, steps=STEPS[:count])
        assert (served.root / INTENT_FILE).exists() == (count < len(STEPS))
    return served


def test_a_version_in_use_that_knows_the_person_stops_it(estate: Estate) -> None:
    """Nothing is erased while the person's face still shapes the answers."""
    with pytest.raises(BadInput, match="promote a version that forgot them"):
        plan_erasure(estate.params)


def test_a_plan_changes_nothing_and_is_the_same_twice(served: Estate) -> None:
    """It names no photo by its own digest and no person, and finds every photo in every store."""
    before = git("status", "--porcelain")
    plan = plan_erasure(served.params).plan
    assert plan_erasure(served.params).plan.digest() == plan.digest()
    assert git("status", "--porcelain") == before
    text = plan.model_dump_json()
    assert not any(subject in text for subject in served.subjects)
    assert not any(digest in text for digest in served.photos)
    older = 1
    photos = [item for item in plan.items if item.kind == "photo"]
    assert sum(item.store == "raw data" for item in photos) == len(served.photos) - older
    for store in STORES:
        found = [item for item in photos if item.store == store]
        assert len({item.object for item in found}) == len(served.photos)
        assert sum(item.ground == SHARED for item in found) == 1
        models = [item for item in plan.items if item.store == store and item.kind == "model"]
        ours = [item.outcome for item in models if item.ground != FOREIGN]
        assert ours == ["remove"] * 6, "two originals and a trial: folder and weights"
        assert len(models) - len(ours) == (2 if store == "DVC remote disk" else 0), "another project's"
    assert len(plan.unreadable_revisions) == 3
    assert plan.merged_names == 1
    assert "also      1 name that nobody asked about" in CliRunner().invoke(main, ["erase", "plan"]).stdout
    assert "DVC remote disk: what interrupted transfers, maybe of others, left there (1)" in plan.not_reached


def test_a_ledger_that_was_changed_stops_it(served: Estate) -> None:
    """Whose data may go is what it says, so it must be what the commands wrote: one line, exit status 1."""
    path = Ledger().path
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"passed":true', b'"passed": true', 1))
    try:
        result = CliRunner().invoke(main, ["erase", "plan"])
    finally:
        write_bytes(path, kept)
    assert result.exit_code == 1
    assert "the ledger must hold" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_held_dvc_lock_stops_it(served: Estate) -> None:
    """DVC at work in the repository is one line, and nothing is done."""
    with Repo(".") as repo, lock_repo(repo), pytest.raises(BadInput, match="let a running dvc command end"):
        run_erasure(served.params, approve=no)


def test_a_remote_that_does_not_answer_stops_it(served: Estate) -> None:
    """What can't be read can't be promised to hold nothing."""
    config = Path(".dvc/config")
    kept = config.read_text()
    config.write_text(kept.replace(served.bucket, "no-such-bucket"))
    try:
        with pytest.raises(BadInput, match="DVC remote cloud must be readable"):
            run_erasure(served.params, approve=no)
    finally:
        config.write_text(kept)


def test_prepared_data_that_the_cache_does_not_list_stop_it(served: Estate) -> None:
    """What stays is told by listings: the current one must be among them, be it that a remote has it too."""
    with Repo(".") as repo:
        (output,) = repo.find_outs_by_path("data/prepared")
        listing = Path(output.cache_path)
    kept = listing.read_bytes()
    listing.unlink()
    try:
        with pytest.raises(BadInput, match="run dvc repro"):
            plan_erasure(served.params)
    finally:
        write_bytes(listing, kept)


def test_another_plan_than_the_reviewed_one_is_refused(served: Estate) -> None:
    """Exit status 1, and nothing is done."""
    with pytest.raises(CheckFailed, match="the plan that was reviewed"):
        run_erasure(served.params, approve=no, expected="0" * 64)
    assert not INTENT_FILE.exists()


def test_stale_prepared_data_stop_it(served: Estate) -> None:
    """A delivery that the pipeline has not seen yet may hold anything."""
    (RAW / "new.txt").write_text("new\n")
    try:
        with pytest.raises(BadInput, match="run dvc repro"):
            plan_erasure(served.params)
    finally:
        (RAW / "new.txt").unlink()


def test_without_a_yes_nothing_is_erased(served: Estate) -> None:
    """The command asks, and takes silence for a no."""
    refused = CliRunner().invoke(main, ["erase", "run"], input="\n")
    assert (refused.exit_code, "nothing was removed" in refused.stderr) == (1, True)
    assert not INTENT_FILE.exists()
    assert len(served.residue()) > len(served.photos)


def test_no_store_holds_a_photo_or_its_digest_afterwards(erased: Estate) -> None:
    """Neither bytes nor MD5 nor SHA-256: repository, cache, remotes on disk and S3, MLflow, site cache."""
    assert erased.residue() == []


def test_no_row_tells_about_them(erased: Estate) -> None:
    """The raw table keeps everybody else, the manifest too; the cache holds no older table."""
    people = {row["subject_id"] for row in rows()}
    assert not people & {*erased.subjects, erased.second_name}
    assert erased.neighbour in people
    assert len(read_manifest(Path("data/prepared/manifest.parquet"))) == len(rows())
    names = [subject.encode() for subject in erased.subjects]
    for place in (Path(".dvc"), erased.top / "disk"):
        assert not [p for p in place.rglob("*") if p.is_file() and any(name in p.read_bytes() for name in names)]


def test_dvc_works_and_nothing_runs_again(erased: Estate) -> None:
    """Status, remote status, checkout and repro agree; what was stale before for another reason stays so."""
    git("add", "--all")
    git("commit", "--quiet", "--message", "Erased")
    with Repo(".") as repo:
        assert repo.status() == {}
        for remote in ("disk", "cloud"):
            # The next unlearning starts from another version now: its pin is new, and nothing else is.
            assert {str(Path(path).parts[0]) for path in repo.status(cloud=True, remote=remote)} <= {
                "deletion",
                "models",
            }
            repo.push(remote=remote)
            assert repo.status(cloud=True, remote=remote) == {}
        repo.checkout(force=True)
        assert repo.reproduce() == []
    assert not Path("ran.log").exists()
    Path("notes.txt").write_text("changed\n")
    with Repo(".") as repo:
        assert list(repo.status()) == ["evaluate"]
    git("checkout", "notes.txt")


def test_the_neighbour_keeps_the_shared_image(erased: Estate) -> None:
    """The prepared image of somebody who stays is there, in the cache and on every remote."""
    with Repo(".") as repo:
        for remote in ("disk", "cloud"):
            assert repo.cloud.get_remote(remote).odb.exists(_neighbours_image())
        assert repo.cache.local.exists(_neighbours_image())


def test_the_older_model_is_gone_and_its_version_tells(erased: Estate) -> None:
    """The weights of the original are removed; the version stays with a tag; the version in use is untouched."""
    store = open_store(erased.root)
    assert [model.version for model in stored_models(store, "dlfd-tiny", MODEL) if not model.foreign] == [2]
    assert ERASED_TAG in store.client.get_model_version(MODEL, "1").tags


def test_a_model_of_another_project_in_the_same_store_stays(erased: Estate) -> None:
    """It was logged in the same experiment and is registered under another name: kept, and the receipt says so."""
    left = [path.read_text() for path in Path("mlartifacts").rglob("weights.safetensors")]
    assert sorted(left) == sorted([WEIGHTS_OF["unlearned"], FOREIGN_WEIGHTS])
    items = Receipt.model_validate_json(next(Path("audit/receipts").iterdir()).read_text()).items
    kept = [item.ground for item in items if item.store.startswith("MLflow") and item.outcome == "kept"]
    assert kept == [FOREIGN]


def test_the_receipt_stands_in_the_ledger(erased: Estate) -> None:
    """Its digest, and the digests of the manifest before and after; it tells every object."""
    events = [event for event in Ledger().events() if event.kind == "erased"]
    assert len(events) == 1
    data = events[0].data
    path = next(Path("audit/receipts").iterdir())
    assert sha256_file(path) == data["receipt_digest"]
    receipt = Receipt.model_validate_json(path.read_text())
    assert list(receipt.request_ids) == list(erased.request_ids) == data["request_ids"]
    assert data["manifest_after"] == read_manifest(Path("data/prepared/manifest.parquet")).digest()
    assert {item.outcome for item in receipt.items} == {"removed", "kept"}
    assert sum(map(sum, (counts.values() for counts in data["objects"].values()))) == len(receipt.items)
    assert data["weights"].get(sha256_bytes(WEIGHTS_OF["original"].encode())) == "removed"
    assert sha256_bytes(FOREIGN_WEIGHTS.encode()) not in data["weights"]


def test_the_audit_expects_the_data_without_them(erased: Estate) -> None:
    """The manifest as it is now is no finding; the one from before would be."""
    events = Ledger().events()
    data = next(event.data for event in events if event.kind == "erased")
    now, then = (compare_files(events, Found(manifest=data[f"manifest_{when}"])) for when in ("after", "before"))
    assert MANIFEST not in {finding.what for finding in now.findings}
    assert MANIFEST in {finding.what for finding in then.findings}


def test_the_record_of_the_training_names_none_of_them(erased: Estate) -> None:
    """They are taken out of it, the older ones are gone from every store, and the ledger tells both digests."""
    record = read_trained_on(Layout().trained_on)
    gone = {entry.keyed_hash for entry in read_suppression()}
    assert len(record) > 0
    assert gone.isdisjoint({*record.rows["sample_id"], *record.rows["subject_key"]})
    data = next(event.data for event in Ledger().events() if event.kind == "erased")
    assert data["trained_on_after"] == record.digest() != data["trained_on_before"]
    assert [found.digest() for found in records_in(erased)] == [record.digest()] * 2, "in the cache and on the disk"
    events = Ledger().events()
    now, then = (compare_files(events, Found(trained_on=data[f"trained_on_{when}"])) for when in ("after", "before"))
    assert TRAINED_ON not in {finding.what for finding in now.findings}
    assert TRAINED_ON in {finding.what for finding in then.findings}


def records_in(estate: Estate) -> list[TrainedOn]:
    """Return the records of a training in DVC's cache and in the remote on disk."""
    with Repo(".") as repo:
        stores = [Path(repo.cache.local.path), estate.top / "disk/files/md5"]
    files = [path for store in stores for path in store.rglob("*") if path.is_file()]
    return [read_trained_on(path) for path in files if _columns(path) == ["sample_id", "subject_key"]]


def _columns(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return []


def test_the_original_is_a_record(erased: Estate) -> None:
    """Its weights are gone from the newest revision too; their digest and its accuracy stay; training is frozen."""
    retired = read_retired(Path("models/original"))
    assert retired is not None
    assert retired.weights_digest == sha256_bytes(WEIGHTS_OF["original"].encode())
    assert retired.metrics == {"accuracy": NUMBERS["accuracy"]}
    manifest = read_manifest(Path("data/prepared/manifest.parquet"))
    assert retired.measured_on == erased.measured_on != photos_digest(manifest)  # one of the people was a test person
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    assert [name for name, stage in stages.items() if stage.get("frozen")] == ["train"]


def test_the_next_unlearning_starts_from_the_version_that_serves(erased: Estate) -> None:
    """The parent is pinned to it before the older weights go, so that no second run has to look for them."""
    parent = read_parent(Path("deletion/parent.json"))
    assert (parent.kind, parent.version, parent.covers) == ("version", 2, erased.request_ids)
    assert Path("models/parent/weights.safetensors").read_text() == WEIGHTS_OF["unlearned"]


def test_certificates_and_letters_say_what_was_erased(erased: Estate) -> None:
    """Every request's and the version's are renewed in the same run, and the audit agrees with them."""
    event = next(event for event in Ledger().events() if event.kind == "erased")
    layout = Layout(erased.root)
    for request_id in erased.request_ids:
        certificate = Issuer(erased.root, Ledger()).standing(request_certificate(request_id))
        assert certificate is not None
        assert isinstance(certificate.statement, RequestStatement)
        (erasure,) = certificate.statement.predicate.erasures
        assert erasure.receipt_digest == event.data["receipt_digest"]
        assert {one.store: {"removed": one.removed, "kept": one.kept} for one in erasure.stores} == {
            store: {"removed": 0, "kept": 0} | counts for store, counts in event.data["objects"].items()
        }
        assert [one.ground for one in erasure.kept] == [SHARED, FOREIGN]
        assert list(erasure.not_reached) == event.data["not_reached"]
        assert "we deleted the photos" in Path(f"audit/certificates/{request_id}.txt").read_text()
    assert compare_certificates(layout, Ledger().events()).findings == ()
    tags = erased.client.get_model_version(MODEL, "2").tags
    assert tags[CERTIFICATE_TAG] == sha256_file(erased.root / version_certificate(MODEL, 2))


def test_what_comes_back_is_found(erased: Estate) -> None:
    """The audit names a changed receipt, a shorter list of whom to keep out, erased weights, an unfounded record."""
    layout, events = Layout(erased.root), Ledger().events()
    assert compare_stores(layout, events).findings == ()
    receipt, weights = next(Path("audit/receipts").iterdir()), Path("models/retrained/weights.safetensors")
    kept = receipt.read_text()
    receipt.write_text(kept.replace("removed", "kept", 1))
    write_text(weights, WEIGHTS_OF["original"])
    listed = SUPPRESSION_FILE.read_text()
    write_text(SUPPRESSION_FILE, "".join(listed.splitlines(keepends=True)[:-1]))
    found = {finding.what for finding in compare_stores(layout, events).findings}
    receipt.write_text(kept)
    write_text(SUPPRESSION_FILE, listed)
    weights.unlink()
    assert found == {f"audit/receipts/{receipt.name}", str(SUPPRESSION_FILE), str(weights)}
    before = [event for event in events if event.kind != "erased"]
    assert ORIGINAL in {finding.what for finding in compare_files(before, read_found(layout)).findings}
    assert ORIGINAL not in {finding.what for finding in compare_files(events, read_found(layout)).findings}


def test_they_are_on_the_suppression_list(erased: Estate) -> None:
    """Every request put its person and the photos there."""
    entries = read_suppression()
    assert {entry.request_id for entry in entries} == set(erased.request_ids)
    assert {entry.kind for entry in entries} == {"subject", "sample"}


def test_a_second_run_finds_nothing(erased: Estate) -> None:
    """It says so, asks nothing, and writes nothing."""
    head = Ledger().head()
    result = CliRunner().invoke(main, ["erase", "run", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["receipt"] is None
    assert Ledger().head() == head


def test_a_fresh_original_stays(erased: Estate) -> None:
    """Trained when their data were gone, it knew none of them: in the working tree, in DVC's stores and in MLflow."""
    weights = "weights of an original that was trained without them"
    store, version = open_store(erased.root), register_model(erased, MODEL, weights)
    named = {"version": version, "original_version": version, "parent_version": version, "model_name": MODEL}
    digests = {"weights_digest": sha256_bytes(weights.encode()), "forget_list_digest": "", "manifest_digest": ""}
    receipt = {**named, **digests, "run_id": "run", "store": store.description, "gate": ""}
    folder, record, registration = Path("models/original"), Path("metrics/train.json"), Path("registry/version.json")
    (folder / "erased.json").rename("erased.json")
    write_text(folder / WEIGHTS, weights)
    with Repo(".") as repo:
        repo.commit("train", force=True)

    def going(without: tuple[str, ...]) -> set[str]:
        write_text(record, json.dumps({"accuracy": 0.9, "without": without}))
        items = plan_erasure(erased.params).plan.items
        return {item.store for item in items if item.kind == "model" and item.outcome == "remove"}

    try:
        assert going(erased.request_ids) == {f"MLflow {store.description}"}, "which version it is, nothing says yet"
        write_text(registration, json.dumps(receipt))
        assert going(erased.request_ids) == set()
        assert going(erased.request_ids[1:]) == {f"MLflow {store.description}", "DVC cache", "this working tree"}
    finally:
        (folder / WEIGHTS).unlink()
        Path("erased.json").rename(folder / "erased.json")
        record.unlink()
        registration.unlink()
        with Repo(".") as repo:
            repo.commit("train", force=True)


def test_a_photo_that_comes_back_is_found_again(erased: Estate) -> None:
    """Delivered once more under any name, it is known by its bytes."""
    (RAW / "images/again.png").write_bytes(next(iter(erased.photos.values())))
    with Repo(".") as repo:
        repo.add([str(RAW)])
        repo.commit("prepare", force=True)
    run_erasure(erased.params, approve=yes)
    assert erased.residue() == []


def _neighbours_image() -> str:
    """Return the MD5 of the neighbour's prepared image."""
    sample_id = project_key().sample_id((RAW / "images/neighbour.png").read_bytes())
    image = Path("data/prepared/images") / sample_id[:2] / f"{sample_id}.png"
    return hashlib.md5(image.read_bytes()).hexdigest()
