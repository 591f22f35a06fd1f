"""A repository of somebody else's: own training script, own table, own model in their MLflow registry."""

from __future__ import annotations

import csv
import shlex
import sys
from pathlib import Path

from tests.pipeline.project import Project

PARAMS = """\
# our parameters; tuned by hand, do not reformat
train:
    epochs:   6      # enough for the demo
    lr: 2.0e-3
prepare: {size: 32}
"""
PIPELINE = """\
# our own pipeline
stages:
  train:
    cmd: python -m faces.train
    deps:
    - data/faces
    - faces
    params:
    - train
    outs:
    - models/ours.json
"""
MODEL = '''"""Our model."""
from torch import nn
from torchvision.models import shufflenet_v2_x0_5


class AgeNet(nn.Module):
    def __init__(self, groups):
        super().__init__()
        self.backbone = shufflenet_v2_x0_5(weights=None)
        self.backbone.fc = nn.Identity()
        self.classify = nn.Linear(1024, groups)

    def forward(self, images):
        return self.classify(self.backbone(images))


def build(groups=3):
    return AgeNet(groups)
'''
TRAIN = '''"""Our training script."""
import csv
import json
from pathlib import Path

import mlflow
import numpy as np
import torch
import yaml
from PIL import Image

from faces.model import build

GROUPS = ["young", "middle", "old"]  # the order of the outputs: not that of the alphabet
params = yaml.safe_load(open("params.yaml"))
rows = [row for row in csv.DictReader(open("data/faces/people.csv")) if row["fold"] == "train"]
pixels = [np.asarray(Image.open(f"data/faces/{row['file']}").convert("RGB").resize((32, 32))) for row in rows]
images = (torch.tensor(np.stack(pixels)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
targets = torch.tensor([GROUPS.index(row["age"]) for row in rows])
torch.manual_seed(0)
model = build(len(GROUPS))
optimizer = torch.optim.Adam(model.parameters(), lr=params["train"]["lr"])
for epoch in range(params["train"]["epochs"]):
    for batch in torch.randperm(len(images)).split(16):
        if len(batch) > 1:
            loss = torch.nn.functional.cross_entropy(model(images[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
model.eval()
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("ages")
with mlflow.start_run():
    accuracy = (model(images).argmax(1) == targets).float().mean().item()
    mlflow.log_metric("train_accuracy", accuracy)
    example = np.zeros((2, 3, 32, 32), np.float32)
    for kind in FORMATS:
        info = mlflow.pytorch.log_model(
            model, name="ages", input_example=example, registered_model_name="ages", serialization_format=kind
        )
client = mlflow.MlflowClient()
client.set_registered_model_alias("ages", "champion", client.search_model_versions("name='ages'")[0].version)
Path("models").mkdir(exist_ok=True)
Path("models/ours.json").write_text(json.dumps({"accuracy": accuracy}))
'''
INIT = shlex.split(
    "dlfd-ops init --name ages-private --factory faces.model:build --argument groups=3 --weights models:/ages@champion "
    "--data data/faces --column image=file --column subject_id=person --column split=fold --label age "
    "--classes age=young,middle,old --image-size 32 --mean 0.5 0.5 0.5 --std 0.25 0.25 0.25"
)
FOLDS = ("train", "train", "train", "val", "test")


def make_repository(root: Path, formats: tuple[str, ...] = ("pt2",)) -> Project:
    """Make the repository in ``root`` with 60 invented people, and commit everything.

    Args:
        root: an empty folder.
        formats: how the training script registers its model, a version each.
    """
    project = Project(root)
    project.run(sys.executable, "-m", "dlfd_ops.data.synthetic_faces", "--root", "data/raw", "--subjects", "60")
    (root / "data/raw").rename(root / "data/faces")
    _write_table(root / "data/faces")
    for name, content in {
        "params.yaml": PARAMS,
        "dvc.yaml": PIPELINE,
        "faces/__init__.py": "",
        "faces/model.py": MODEL,
        "faces/train.py": TRAIN.replace("FORMATS", repr(formats)),
        ".gitignore": "__pycache__/\n/mlflow.db\n/mlruns/\n",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    for command in (
        "git init --quiet",
        "git config user.name Test",
        "git config user.email test@example.org",
        "dvc init --quiet",
        "dvc add --quiet data/faces",
        "git add --all",
        "git commit --quiet --message Start",
    ):
        project.run(*command.split())
    return project


def _write_table(folder: Path) -> None:
    """Replace the table of the invented faces by one of our own making."""
    with (folder / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    (folder / "labels.csv").unlink()
    groups = {name: index * 3 // 8 for index, name in enumerate(sorted({row["age_group"] for row in rows}))}
    people = sorted({row["subject_id"] for row in rows})
    with (folder / "people.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "person", "fold", "age"])
        for row in rows:
            age = ("young", "middle", "old")[min(groups[row["age_group"]], 2)]
            writer.writerow([row["image"], row["subject_id"], FOLDS[people.index(row["subject_id"]) % 5], age])
