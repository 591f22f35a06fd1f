"""Typed mirror of ``params.yaml``: one section a stage (``erase`` is a command's), and one module a section.

Everything is frozen, and unknown keys are refused. A stage reads its own section and ``base`` only, as ``dvc.yaml``
declares. The methods of ``unlearn`` have their sections in ``dlfd`` and ``baselines``; ``file`` reads the whole.
"""

from dlfd_ops.params.baselines import (
    L1SparseSection,
    LastLayersSection,
    NegGradPlusSection,
    SalunSection,
    ScrubSection,
    UnsirSection,
)
from dlfd_ops.params.benchmark import YARDSTICKS, BenchmarkSection
from dlfd_ops.params.dlfd import DlfdSection
from dlfd_ops.params.evaluate import EvaluateSection, RelearnSection
from dlfd_ops.params.file import Params, check_params, load_params
from dlfd_ops.params.register import Policy
from dlfd_ops.params.unlearn import UnlearnSection, with_overrides

__all__ = [
    "YARDSTICKS",
    "BenchmarkSection",
    "DlfdSection",
    "EvaluateSection",
    "L1SparseSection",
    "LastLayersSection",
    "NegGradPlusSection",
    "Params",
    "Policy",
    "RelearnSection",
    "SalunSection",
    "ScrubSection",
    "UnlearnSection",
    "UnsirSection",
    "check_params",
    "load_params",
    "with_overrides",
]
