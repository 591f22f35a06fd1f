"""Who promotes: a name that people chose for themselves, not the account or the address that the machine knows."""

from __future__ import annotations

import os
from pathlib import Path

from dlfd_ops.errors import BadInput
from dlfd_ops.tracking.provenance import git_user

ACTOR = "DLFD_ACTOR"
MAX_ACTOR_CHARACTERS = 100


def actor(root: Path) -> str:
    """Return ``DLFD_ACTOR``, or the name of git's committer; never an e-mail address or an account.

    Raises:
        BadInput: neither is set, or the name is too long or not printable.
    """
    name = (os.environ.get(ACTOR) or git_user(root) or "").strip()
    if not name or len(name) > MAX_ACTOR_CHARACTERS or not name.isprintable():
        raise BadInput(
            f"the ledger must say who decides, with 1 to {MAX_ACTOR_CHARACTERS} printable characters",
            received=f"{len(name)} characters" if name else "neither a name nor a role",
            remedy=f"set {ACTOR} to a role (for example: model-owner), or git config user.name",
        )
    return name
