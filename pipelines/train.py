"""The train stage."""

from dlfd_ops.workflows.stage import run_stage
from dlfd_ops.workflows.train import train

if __name__ == "__main__":
    run_stage(train)
