"""The methods by name, written out: nothing registers itself by being imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dlfd_ops.errors import BadInput
from dlfd_ops.unlearning.baselines.bad_teacher import BadTeacher
from dlfd_ops.unlearning.baselines.cf_k import CatastrophicForgetting
from dlfd_ops.unlearning.baselines.eu_k import ExactUnlearning
from dlfd_ops.unlearning.baselines.fine_tune import FineTune
from dlfd_ops.unlearning.baselines.l1_sparse import L1Sparse
from dlfd_ops.unlearning.baselines.neg_grad import NegGrad
from dlfd_ops.unlearning.baselines.neg_grad_plus import NegGradPlus
from dlfd_ops.unlearning.baselines.retrain import Retrain
from dlfd_ops.unlearning.baselines.salun import SalUn
from dlfd_ops.unlearning.baselines.scrub import Scrub
from dlfd_ops.unlearning.baselines.unsir import Unsir
from dlfd_ops.unlearning.dlfd.anchored import AnchoredDlfd
from dlfd_ops.unlearning.dlfd.paper import PaperDlfd
from dlfd_ops.unlearning.dlfd.published import PublishedDlfd
from dlfd_ops.unlearning.method import Resources, UnlearningMethod

if TYPE_CHECKING:
    from dlfd_ops.params import UnlearnSection

DLFD_VARIANTS: dict[str, Callable[..., UnlearningMethod]] = {
    "anchored": AnchoredDlfd,
    "paper": PaperDlfd,
    "published": PublishedDlfd,
}
"""Variants of DLFD, each built from the section ``unlearn.dlfd`` and the resources."""

METHODS: dict[str, Callable[[UnlearnSection, Resources], UnlearningMethod]] = {
    "dlfd": lambda settings, resources: DLFD_VARIANTS[settings.dlfd.variant](settings.dlfd, resources),
    "retrain": lambda settings, resources: Retrain(resources),
    "fine_tune": lambda settings, resources: FineTune(),
    "neg_grad": lambda settings, resources: NegGrad(),
    "neg_grad_plus": lambda settings, resources: NegGradPlus(settings.neg_grad_plus),
    "cf_k": lambda settings, resources: CatastrophicForgetting(settings.cf_k),
    "eu_k": lambda settings, resources: ExactUnlearning(settings.eu_k, resources),
    "unsir": lambda settings, resources: Unsir(settings.unsir, resources),
    "bad_teacher": lambda settings, resources: BadTeacher(resources),
    "scrub": lambda settings, resources: Scrub(settings.scrub, resources),
    "salun": lambda settings, resources: SalUn(settings.salun, resources),
    "l1_sparse": lambda settings, resources: L1Sparse(settings.l1_sparse),
}
"""Every method, by the name that ``unlearn.method`` takes."""


def build_method(settings: UnlearnSection, resources: Resources) -> UnlearningMethod:
    """Return the method that ``settings`` names.

    Raises:
        BadInput: no method has that name.
    """
    if settings.method not in METHODS:
        raise BadInput(
            "unlearn.method must name a method", received=settings.method, remedy=f"choose from {', '.join(METHODS)}"
        )
    return METHODS[settings.method](settings, resources)


def method_name(settings: UnlearnSection) -> str:
    """Return the method's name with its variant, as it stands in tags and reports: ``dlfd/anchored``."""
    return f"dlfd/{settings.dlfd.variant}" if settings.method == "dlfd" else settings.method
