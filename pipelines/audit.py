"""Stage audit: the compliance report as of the last event of the ledger."""

from dlfd_ops.workflows.audit import report
from dlfd_ops.workflows.stage import run_stage

if __name__ == "__main__":
    run_stage(report)
