"""The section ``forget_list``: how much one unlearning may forget."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlfd_ops.params.section import Section


class ForgetListSection(Section):
    """Resolution of open requests to samples."""

    max_share: Annotated[float, Field(gt=0, lt=1)]
    """Largest share of the training samples that one unlearning may forget; more calls for retraining."""
