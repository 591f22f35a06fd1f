"""``dlfd-ops audit show``: what the audit knows about one request, one version, one image file, or everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dlfd_ops.audit.composing import Material, compose, dossiers, request_rows, version_nodes
from dlfd_ops.audit.dossier import Dossier, ImageAnswer, image_answer
from dlfd_ops.audit.lineage import VersionNode, ancestors, forgotten
from dlfd_ops.audit.report import Report
from dlfd_ops.data.identity import KEY_FILE, KEY_ID_FILE, check_key_id, load_key, read_key_id
from dlfd_ops.data.manifest import Manifest
from dlfd_ops.data.subjects import read_aliases
from dlfd_ops.deletion.forget_list import read_forget_list
from dlfd_ops.deletion.requests import shown_id
from dlfd_ops.deletion.resolution import find_samples
from dlfd_ops.deletion.suppression import SUPPRESSION_FILE, Suppressed, read_suppression
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded
from dlfd_ops.params import Params
from dlfd_ops.workflows.audit_files import read_places
from dlfd_ops.workflows.audit_material import gather
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.requests import MAX_SAMPLE_FILE_BYTES


@dataclass(frozen=True)
class VersionAnswer:
    """What is known about one version.

    Attributes:
        node: the version.
        forgotten: ids of all requests that it has forgotten, itself or through an ancestor.
        lineage: the version, its parent, and so on back to the original.
    """

    node: VersionNode
    forgotten: tuple[str, ...]
    lineage: tuple[VersionNode, ...]


def show_everything(params: Params, root: Path = Path(), *, as_of: date) -> Report:
    """Return the whole report as of a date, the registry asked; nothing is written."""
    return compose(gather(params, root, ask_registry=True), as_of=as_of, due_soon_days=params.audit.due_soon_days)


def show_request(params: Params, request_id: str, root: Path = Path(), *, as_of: date) -> Dossier:
    """Return everything about one request.

    Raises:
        BadInput: there is no such request.
    """
    material = gather(params, root, ask_registry=True)
    rows = request_rows(material, as_of=as_of, due_soon_days=params.audit.due_soon_days)
    if request_id not in rows:
        raise BadInput(
            "the request must be in the ledger",
            received=shown_id(request_id),
            remedy="see `dlfd-ops request list`",
        )
    return dossiers(material, [rows[request_id]], version_nodes(material))[0]


def show_version(params: Params, version: int, root: Path = Path()) -> VersionAnswer:
    """Return what a version has forgotten, and its lineage back to the first original.

    Args:
        params: ``register.model_name`` names the model.
        version: its number in MLflow.
        root: the repository.

    Raises:
        BadInput: the ledger knows no such version.
    """
    nodes = version_nodes(gather(params, root, ask_registry=True))
    name = params.register_.model_name
    found = [node for node in nodes if (node.model_name, node.version) == (name, version)]
    if not found:
        known = ", ".join(str(node.version) for node in nodes if node.model_name == name and node.version is not None)
        raise BadInput(
            f"the version must be one of {name} that the ledger knows",
            received=f"version {version}",
            remedy=f"choose one of {known}" if known else "register one first: dvc repro",
        )
    node = found[-1]
    return VersionAnswer(node, forgotten(nodes, node), tuple(ancestors(nodes, node)))


def show_image(params: Params, image: Path, root: Path = Path(), *, as_of: date) -> ImageAnswer:
    """Return whether an image file is among what was forgotten, by the keyed hash of its bytes.

    The file is hashed and never decoded. The person of an image that is still in the prepared data is known, so that
    requests about the person count too.

    Raises:
        BadInput: no readable file, or the secret key is not at hand or another one.
    """
    content = read_bounded(image, max_bytes=MAX_SAMPLE_FILE_BYTES, what="the image file")
    key = load_key(root / KEY_FILE)
    check_key_id(key, read_key_id(root / KEY_ID_FILE), str(KEY_ID_FILE))
    sample_id = key.sample_id(content)
    material, places = gather(params, root, ask_registry=True), read_places(Layout(root))
    suppressed = any(entry.keyed_hash == sample_id for entry in _suppressed(root))
    return image_answer(
        sample_id,
        split=_split(places[:1], sample_id),
        trained=_trained(places, sample_id, suppressed=suppressed),
        suppressed=suppressed,
        covering=_covering(Layout(root), places, material, sample_id),
        requests=request_rows(material, as_of=as_of, due_soon_days=params.audit.due_soon_days),
        nodes=version_nodes(material),
    )


def _covering(layout: Layout, places: Sequence[Manifest], material: Material, sample_id: str) -> set[str]:
    """Return the requests that name the sample, name its person, or had it on their forget list or erased."""
    covering = {request.request_id for request in material.requests if sample_id in request.sample_ids}
    covering |= {entry.request_id for entry in _suppressed(layout.root) if entry.keyed_hash == sample_id}
    if layout.forget_list.exists():
        rows = read_forget_list(layout.forget_list).rows
        covering |= {request_id for row in rows if row.sample_id == sample_id for request_id in row.request_ids}
    for place in places:  # of its person, also where the data no longer have it
        found = find_samples(material.requests, place, read_aliases(layout.aliases))
        covering |= {request_id for request_id, samples in found.items() if sample_id in samples}
    return covering


def _suppressed(root: Path) -> tuple[Suppressed, ...]:
    path = root / SUPPRESSION_FILE
    return read_suppression(path) if path.exists() else ()


def _trained(places: Sequence[Manifest], sample_id: str, *, suppressed: bool) -> bool | None:
    """Return whether the original was trained on the sample: an erasure takes it out of the record as well."""
    split = _split(places, sample_id)
    return None if len(places) < 2 or (suppressed and split is None) else split == "train"


def _split(places: Iterable[Manifest], sample_id: str) -> str | None:
    """Return the split of the sample in the first place that has it."""
    rows = (place.only([sample_id]).rows for place in places)
    return next((str(one["split"][0]) for one in rows if len(one)), None)
