"""The unlearn stage."""

from dlfd_ops.workflows.stage import run_stage
from dlfd_ops.workflows.unlearn import unlearn

if __name__ == "__main__":
    run_stage(unlearn)
