"""Stage ``forget_list``: which samples the open requests ask to forget."""

from dlfd_ops.workflows.forget_list import forget_list
from dlfd_ops.workflows.stage import run_stage

if __name__ == "__main__":
    run_stage(forget_list)
