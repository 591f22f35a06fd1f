"""The evaluate stage."""

from dlfd_ops.workflows.evaluate import evaluate
from dlfd_ops.workflows.stage import run_stage

if __name__ == "__main__":
    run_stage(evaluate)
