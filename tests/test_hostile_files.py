"""Files from outside: whatever stands in them, a reader takes it or refuses it with one clean line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.data.subjects import read_aliases
from dlfd_ops.data.trained_on import read_trained_on
from dlfd_ops.deletion.erasure import read_intent
from dlfd_ops.deletion.erasure import read_receipt as read_erasure
from dlfd_ops.deletion.forget_list import read_forget_list
from dlfd_ops.deletion.parent import Parent, read_parent
from dlfd_ops.deletion.requests import read_requests
from dlfd_ops.deletion.suppression import read_suppression
from dlfd_ops.errors import DlfdError
from dlfd_ops.models.checkpoint import load_card
from dlfd_ops.params import load_params
from dlfd_ops.workflows.audit_files import read_losses, read_numbers, read_receipt
from dlfd_ops.workflows.retired import read_retired

HASH = "a" * 64
CARD = {
    "architecture": "resnet18",
    "labels": ["age"],
    "classes": {"age": ["young", "old"]},
    "image_size": 32,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
RECEIPT = {
    "model_name": "face",
    "version": 2,
    "original_version": 1,
    "parent_version": 1,
    "run_id": "r",
    "store": "s",
    "weights_digest": HASH,
    "forget_list_digest": HASH,
    "manifest_digest": HASH,
    "gate": "passed",
}
EVENT = b'{"at":"2026-01-05T12:00:00Z","data":{},"hash":"0","kind":"x","previous":"0","seq":1}\n'
INTAKE = b"request_id,key_id,subject_key,sample_ids,received_at,due_at,legal_basis\n"

MANIFEST_INFO = {
    "dataset": "d",
    "key_id": "k",
    "image_size": 8,
    "classes": {"age": ["young", "old"]},
    "suppressed": 0,
    "suppressed_requests": [],
}
MANIFEST_COLUMNS: dict[str, list[object]] = {
    "sample_id": [HASH],
    "path": ["a.png"],
    "subject_key": [HASH],
    "split": ["train"],
    "age": [0],
}
RETIRED = {"weights_digest": HASH, "metrics": {"accuracy": 0.5}, "measured_on": HASH}
ERASED_ITEM = {"object": HASH, "kind": "photo", "store": "DVC cache", "outcome": "removed", "ground": ""}
ERASURE = {
    "format": "dlfd-ops/erasure/v1",
    "plan_digest": HASH,
    "request_ids": ["req-000000000000"],
    "manifest_before": HASH,
    "manifest_after": HASH,
    "items": [ERASED_ITEM],
    "unreadable_revisions": [],
    "not_reached": [],
}

READERS: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "params.yaml": (load_params, (Path(__file__).parents[1] / "params.yaml").read_bytes()),
    "requests.csv": (read_requests, INTAKE + b"req-000000000000,0,,,2026-01-31T12:00:00Z,2026-02-28,gdpr\n"),
    "suppression.csv": (read_suppression, b"kind,keyed_hash,perceptual,request_id,key_id\nsample,a,,req-0,b\n"),
    "aliases.csv": (read_aliases, b"alias_key,subject_key\na,b\n"),
    "parent.json": (read_parent, Parent().model_dump_json().encode()),
    "model.json": (lambda path: load_card(path.parent), json.dumps(CARD).encode()),
    "version.json": (read_receipt, json.dumps(RECEIPT).encode()),
    "unlearning.json": (read_numbers, b'{"original": {"accuracy": 0.5}}'),
    "losses.csv": (read_losses, b"model,set,loss\noriginal,test,0.5\n"),
    "forget_list.parquet": (read_forget_list, b"PAR1" + b"\0" * 16 + b"PAR1"),
    "manifest.parquet": (read_manifest, b"PAR1" + b"\0" * 16 + b"PAR1"),
    "trained_on.parquet": (read_trained_on, b"PAR1" + b"\0" * 16 + b"PAR1"),
    "erased.json": (lambda path: read_retired(path.parent), json.dumps(RETIRED).encode()),
    "receipt.json": (read_erasure, json.dumps(ERASURE).encode()),
    "erasure.json": (read_intent, json.dumps({"plan": ERASURE}).encode()),
    "ledger.jsonl": (lambda path: (Ledger(path).events(), Ledger(path).verify()), EVENT),
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def contents(draw: st.DrawFn, valid: bytes) -> bytes:
    """Anything: bytes, any JSON, or the valid content with a piece replaced or one of its JSON values exchanged."""
    kind = draw(st.sampled_from(["bytes", "json", "cut", "exchanged"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    if kind == "json":
        return json.dumps(draw(JSON)).encode()
    if kind == "exchanged" and valid.startswith(b"{"):
        value = json.loads(valid)
        value[draw(st.sampled_from([*value, "more"]))] = draw(JSON)
        return json.dumps(value).encode()
    start = draw(st.integers(0, len(valid)))
    return valid[:start] + draw(st.binary(max_size=8)) + valid[start + draw(st.integers(0, 20)) :]


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_reader_takes_a_file_or_refuses_it_in_one_line(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """No content makes a reader raise anything but an error with an exit status, in one line."""
    read, valid = READERS[name]
    path = tmp_path / name
    path.write_bytes(data.draw(contents(valid)))
    refused = _refusal(lambda: read(path))
    assert refused is None or (refused.exit_status in (1, 2) and len(str(refused).splitlines()) == 1)


CELLS = st.none() | st.integers(-2, 3) | st.floats() | st.text(max_size=4) | st.booleans() | st.just(HASH)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    info=st.sampled_from([*MANIFEST_INFO, "more", ""]),
    value=JSON | st.just("[" * 5000),
    column=st.sampled_from([*MANIFEST_COLUMNS, "more", ""]),
    cell=CELLS,
)
def test_a_manifest_is_taken_or_refused_in_one_line(
    tmp_path: Path, info: str, value: object, column: str, cell: object
) -> None:
    """Whatever its metadata and its columns hold: other types, gaps, nothing at all."""
    metadata = json.dumps(MANIFEST_INFO | ({info: value} if info else {}))
    columns = MANIFEST_COLUMNS | ({column: [cell]} if column else {})
    table = pa.table({name: pa.array(cells) for name, cells in columns.items()})
    path = tmp_path / "manifest.parquet"
    for text in {metadata, metadata[: len(str(value)) % len(metadata)], str(value)}:
        pq.write_table(table.replace_schema_metadata({b"dlfd_ops": text.encode("utf-8", "replace")}), path)
        refused = _refusal(lambda: read_manifest(path))
        assert refused is None or (refused.exit_status == 2 and len(str(refused).splitlines()) == 1)


def _refusal(read: Callable[[], object]) -> DlfdError | None:
    try:
        read()
    except DlfdError as error:
        return error
    return None


@pytest.mark.parametrize("read", [read_manifest, read_forget_list])
def test_a_table_that_is_a_folder_is_not_gathered_from_it(read: Callable[[Path], object], tmp_path: Path) -> None:
    """Behind a link outwards may lie a whole disk: nothing below it is read."""
    outside = tmp_path / "outside/deeper"
    outside.mkdir(parents=True)
    pq.write_table(pa.table({"sample_id": ["s"], "request_ids": [["r"]], "earlier": [False]}), outside / "a.parquet")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(DlfdError, match="received FileNotFoundError"):
        read(tmp_path / "link.parquet")
