"""Comparing the aliases of the registered models with the ledger: a promotion around the gate is found here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import VersionEvidence
from dlfd_ops.audit.findings import Finding, Verification
from dlfd_ops.audit.serving import Serving
from dlfd_ops.tracking.aliases import CANDIDATE, CHAMPION, read_aliases
from dlfd_ops.tracking.store import Store, open_store


def compare_aliases(root: Path, events: Sequence[Event], registered: Sequence[VersionEvidence]) -> Verification:
    """Compare ``champion`` with the last promotion or rollback, and ``candidate`` with the newest passed version.

    Models of another store than the one in use are left to the comparison of the versions, which names them.

    Args:
        root: the repository.
        events: the ledger.
        registered: its versions.

    Raises:
        BadInput: the store does not answer.
    """
    if not registered:
        return Verification()
    store = open_store(root)
    here = {version.registered.model_name for version in registered if version.registered.store == store.description}
    return sum((_compare(store, events, name) for name in sorted(here)), Verification())


def _compare(store: Store, events: Sequence[Event], model_name: str) -> Verification:
    aliases = read_aliases(store, model_name)
    if aliases is None:
        return Verification()  # its versions are missing too, and found as such
    serving = Serving.of(events, model_name, store.description)
    expected = {CHAMPION: serving.champion, CANDIDATE: max(serving.passed, default=None)}
    names = {alias: f"MLflow {model_name} alias {alias}" for alias in expected}
    return Verification(
        findings=tuple(
            Finding(names[alias], _version(version), _version(aliases.get(alias)))
            for alias, version in expected.items()
            if aliases.get(alias) != version
        ),
        checked=tuple(names.values()),
    )


def _version(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
