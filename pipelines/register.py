"""The register stage."""

from dlfd_ops.workflows.register import register
from dlfd_ops.workflows.stage import run_stage

if __name__ == "__main__":
    run_stage(register)
