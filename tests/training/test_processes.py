"""The training loop on two real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
import torch
from torch import nn
from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import Factory, ModelCard
from dlfd_ops.models.wrapped import WrappedClassifier
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import LoopSettings, run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.training.supervised import SupervisedObjective

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.auxiliary = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, images):
        return self.fc(images.mean(dim=(2, 3)))

torch.manual_seed(0)
card = ModelCard("faces:net", ("tone",), {"tone": ("dark", "bright")}, 16, factory=Factory("fc", "input"))
model, accelerator = WrappedClassifier(Net(), card), start_accelerator()
assert accelerator.num_processes == 2
images = torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
ids = tuple(map(str, range(16)))
data = LabelledImages(images, torch.arange(16) % 2, ids, ids)
objective = SupervisedObjective(data, BatchPlan(16, 8, 0), flip=False, device=accelerator.device,
                                rank=accelerator.process_index, num_processes=2)
settings = LoopSettings("test", num_steps=4, steps_per_epoch=2, learning_rate=0.1, momentum=0.9, weight_decay=0.0,
                        gradient_clip=None, checkpoint_every=9, seed=0, precision="float32")
run_loop(accelerator, model, objective, settings, checkpoint=ResumeCheckpoint(Path(sys.argv[1]), "k"),
         observer=SilentObserver())
"""


def test_a_module_with_a_layer_left_out_trains_on_two_processes(tmp_path: Path) -> None:
    """Somebody else's forward pass need not use every parameter, whatever the number of processes."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(program), str(tmp_path / "resume")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
