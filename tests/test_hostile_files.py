"""Files from outside: whatever stands in them, a reader takes it or refuses it with one clean line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.deletion.forget_list import read_aliases, read_forget_list
from dlfd_ops.deletion.parent import Parent, read_parent
from dlfd_ops.deletion.requests import read_requests
from dlfd_ops.deletion.suppression import read_suppression
from dlfd_ops.errors import DlfdError
from dlfd_ops.models.checkpoint import load_card
from dlfd_ops.params import load_params
from dlfd_ops.workflows.audit_files import read_losses, read_numbers, read_receipt

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
    refused: DlfdError | None = None
    try:
        read(path)
    except DlfdError as error:
        refused = error
    assert refused is None or (refused.exit_status in (1, 2) and len(str(refused).splitlines()) == 1)
