"""What joins the events of a version's making."""

from __future__ import annotations

from dlfd_ops.audit.evidence import versions
from dlfd_ops.audit.ledger import Ledger


def test_a_later_delivery_says_nothing_of_the_versions_before_it(history: Ledger) -> None:
    """The same list over other data belongs to the version that is registered after it, and to no earlier one."""
    listed, unlearned, registered = (
        next(event.data for event in history.events() if event.kind == kind)
        for kind in ("resolved", "unlearned", "registered")
    )
    history.append("resolved", listed | {"manifest_digest": "9" * 64})
    history.append("unlearned", unlearned | {"weights_digest": "8" * 64})
    history.append("registered", registered | {"version": 3, "run_id": "run-3", "weights_digest": "8" * 64})
    manifests = [version.resolved.manifest_digest for version in versions(history.events()) if version.resolved]
    assert manifests == [listed["manifest_digest"], "9" * 64]
