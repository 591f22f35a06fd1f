"""The retrain stage."""

from dlfd_ops.workflows.retrain import retrain
from dlfd_ops.workflows.stage import run_stage

if __name__ == "__main__":
    run_stage(retrain)
