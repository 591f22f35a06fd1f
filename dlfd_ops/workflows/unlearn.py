"""The unlearn stage: the parent forgets the samples on the forget list."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.deletion.forget_list import ForgetList, read_forget_list
from dlfd_ops.digest import sha256_json
from dlfd_ops.files import replaced_folder, write_text
from dlfd_ops.models.checkpoint import CARD, WEIGHTS, weights_digest
from dlfd_ops.params import Params
from dlfd_ops.tracking.provenance import read_provenance
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.unlearning.registry import method_name
from dlfd_ops.workflows.forgetting import build_objective, load_unlearning_sets
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.running import StageRun, run_tracked
from dlfd_ops.workflows.start import check_training, load_fitting, read_start

KEPT = "none"
"""What stands for the method where there was nothing new to forget."""


def unlearn(params: Params, root: Path = Path()) -> None:
    """Unlearn the forget list; writes ``models/unlearned`` and ``metrics/unlearn.json``, and tells the ledger.

    Starts from the pinned parent. With nothing new to forget, the parent itself is the result.

    Raises:
        BadInput: an input is missing or damaged, or the parent is not the pinned one, does not know these classes, or
            comes from another original.
    """
    layout, accelerator = Layout(root), start_accelerator()
    manifest, forget_list = read_manifest(layout.manifest), read_forget_list(layout.forget_list)
    known = read_known(layout, manifest).data
    start = read_start(layout)
    parent = load_fitting(start.folder, params, manifest)
    if not forget_list.rows:
        if accelerator.is_main_process:
            _keep_parent(layout, start.folder)
        return
    check_training(layout, start.parent)
    sets = load_unlearning_sets(params, known, forget_list)
    objective, settings = build_objective(params, sets, parent, accelerator)
    run = StageRun(
        kind="unlearned",
        key=sha256_json(
            [
                params.base.model_dump(),
                params.unlearn.model_dump(),
                known.digest(),
                forget_list.digest(),
                start.digest,
            ]
        ),
        curve=layout.plot("unlearning.csv"),
        settings=settings,
    )
    seconds = run_tracked(accelerator, parent, objective, run, params=params, manifest=manifest, root=root)
    if accelerator.is_main_process:
        write_text(layout.metrics("unlearn"), _numbers(params, seconds))
        _tell_ledger(params, layout, forget_list, start.digest)


def _keep_parent(layout: Layout, start: Path) -> None:
    with replaced_folder(layout.model("unlearned")) as folder:
        for name in (WEIGHTS, CARD):
            shutil.copyfile(start / name, folder / name)
    write_text(layout.metrics("unlearn"), json.dumps({"method": KEPT, "seconds": 0.0}) + "\n")
    write_text(layout.plot("unlearning.csv"), "step\n")


def _numbers(params: Params, seconds: float) -> str:
    return json.dumps({"method": method_name(params.unlearn), "seconds": round(seconds, 3)}) + "\n"


def _tell_ledger(params: Params, layout: Layout, forget_list: ForgetList, parent_digest: str) -> None:
    Ledger(layout.ledger).append(
        "unlearned",
        {
            "request_ids": list(forget_list.request_ids),
            "forget_list_digest": forget_list.digest(),
            "method": method_name(params.unlearn),
            "params_digest": sha256_json(params.unlearn.model_dump()),
            "parent_weights_digest": parent_digest,
            "weights_digest": weights_digest(layout.model("unlearned")),
            "git_commit": read_provenance(layout.root, "unlearn").git_commit,
        },
    )
