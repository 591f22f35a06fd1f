"""The prepare stage."""

from dlfd_ops.workflows.prepare import prepare
from dlfd_ops.workflows.stage import run_stage

if __name__ == "__main__":
    run_stage(prepare)
