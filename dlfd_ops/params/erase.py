"""The section ``erase``: what an erasure removes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from dlfd_ops.params.section import Section


class EraseSection(Section):
    """What ``dlfd-ops erase`` removes, beside the data of the fulfilled requests; no stage reads it."""

    outside_source: Literal["keep", "remove"] = "keep"
    """Raw photos in a ``prepare.root`` outside of the repository: listed as not reached, or removed there too."""
    older_revisions: Literal["remove", "keep"] = "remove"
    """What DVC stores of older data and names erased photos (listings, tables): without it, older revisions cannot be
    checked out; kept, it is residue."""
    older_models: Literal["remove", "keep"] = "remove"
    """Weights of versions that knew an erased person."""
    ground: Literal["legal_obligation", "legal_claims", "public_interest", "scientific_research"] | None = None
    """Why older revisions or models are kept; it stands in every receipt."""

    @model_validator(mode="after")
    def _keeping_needs_a_ground(self) -> Self:
        if self.ground is None and "keep" in (self.older_revisions, self.older_models):
            raise ValueError("a ground must be given for what is kept")
        return self
