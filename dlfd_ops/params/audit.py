"""The section ``audit``: the compliance report."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlfd_ops.params.section import Section


class AuditSection(Section):
    """The compliance report."""

    due_soon_days: Annotated[int, Field(ge=0, le=365)]
    """An open request due within this many days is marked as due soon."""
