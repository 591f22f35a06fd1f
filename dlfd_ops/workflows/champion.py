"""Moving the alias ``champion``, so that registry and ledger say the same, and only one of two who try at once wins.

The alias is moved first, looked at again, and then told to the ledger, whose new head is recorded on the version.
Whoever is interrupted in between runs the command again: what stands already stays, and the ledger is told once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlfd_ops.audit.chain import GENESIS
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.serving import Serving
from dlfd_ops.audit.timeline import printable
from dlfd_ops.deletion.erasure import INTENT_FILE
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.params import Params
from dlfd_ops.tracking.aliases import CHAMPION, point_champion, read_aliases
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import HEAD_TAG, read_version, record_head
from dlfd_ops.workflows.audit_certificates import compare_certificate
from dlfd_ops.workflows.audit_files import open_ledger
from dlfd_ops.workflows.audit_registry import compare_unlearned
from dlfd_ops.workflows.layout import Layout

LOCK = "champion"
SHOWN_REQUESTS = 20
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moved:
    """What came of a promotion or a rollback.

    Attributes:
        model_name: the registered model.
        version: the version that serves now.
        from_version: the one that served before, None for the first.
        changed: false when everything stood as wanted already.
    """

    model_name: str
    version: int
    from_version: int | None
    changed: bool


@dataclass(frozen=True)
class Champion:
    """The registry and the ledger, under the lock (see :func:`open_champion`).

    Attributes:
        layout: of the repository.
        store: the MLflow store.
        model_name: the registered model.
        ledger: the ledger, whose chain holds.
        serving: what the ledger says.
        aliases: what the registry says: alias -> version.
    """

    layout: Layout
    store: Store
    model_name: str
    ledger: Ledger
    serving: Serving
    aliases: Mapping[str, int]

    @property
    def version(self) -> int | None:
        """The version that serves, by the registry."""
        return self.aliases.get(CHAMPION)

    def last_move_is_complete(self) -> bool:
        """Return whether the version of the ledger's last move carries that move's head, or a later one.

        A later one is there where the version was registered again since. An earlier one, or none, says that the move
        was interrupted before its last write.

        Raises:
            BadInput: the store does not answer.
        """
        if self.serving.champion is None:
            return True
        found = read_version(self.store, self.model_name, self.serving.champion)
        return found is not None and found.tags.get(HEAD_TAG) in self.serving.heads

    def check_may_serve(self, version: int) -> None:
        """Check that a version exists, has forgotten whoever was promised to be, and is what the ledger says.

        Raises:
            BadInput: the registry has no such version.
            CheckFailed: it still knows somebody, or its tags differ from the ledger.
        """
        if read_version(self.store, self.model_name, version) is None:
            raise BadInput(
                f"the version must be one of {self.model_name} in {self.store.description}",
                received=f"version {version}, which is not there",
                remedy="see `mlflow ui`, or leave the number out",
            )
        if known := self.serving.still_knows(version):
            raise CheckFailed(
                f"a version must cover every fulfilled request to serve: version {version} of {self.model_name} "
                f"does not cover {len(known)}",
                received=_some(known),
                remedy=self._safe_remedy(),
            )
        evidence = self.serving.versions.get(version)
        if evidence is None:
            return
        heads = {GENESIS, *(event.hash for event in self.ledger.events())}
        findings = compare_unlearned(self.store, evidence, None, heads).findings
        if findings:
            raise CheckFailed(
                f"the registry and the ledger must agree on version {version} of {self.model_name}",
                received=str(findings[0]),
                remedy="run `dlfd-ops audit verify`; `dvc repro -f -s register` restores a changed decision",
            )

    def check_certified(self, version: int) -> None:
        """Check that a version's verdict is the one that was signed: a line of the ledger is written without a key.

        A signing key that came in without the signature of the one before it is told in a warning.

        Raises:
            CheckFailed: its certificate is missing, or says something else.
        """
        outcome = compare_certificate(self.layout, self.ledger.events(), self.model_name, version)
        for line in outcome.not_checked:
            _LOGGER.warning("not checked: %s", line)
        if findings := outcome.findings:
            raise CheckFailed(
                f"the certificate of version {version} of {self.model_name} must say what the ledger says",
                received=str(findings[0]),
                remedy="run `dlfd-ops audit verify`; `dvc repro -f -s register` judges and certifies it again",
            )

    def serves(self, version: int) -> bool:
        """Return whether a version serves already, by the registry as by the ledger."""
        return (self.version, self.serving.champion) == (version, version)

    def move(self, kind: str, version: int, facts: Mapping[str, Any]) -> Moved:
        """Let a version serve, and tell the ledger once; the caller has checked that it may.

        Where it serves already, what an interrupted move to it left unwritten is written.

        Args:
            kind: "promoted" or "rolled_back".
            version: the version.
            facts: what else the event of this kind says.

        Raises:
            BadInput: the store does not answer.
            CheckFailed: somebody else moved the alias at the same moment.
        """
        before = self.version if self.version != version else self.serving.champion
        if self.serves(version):
            if not self.last_move_is_complete():
                record_head(self.store, self.model_name, version, self.serving.heads[0])
            return Moved(self.model_name, version, self.serving.moves[-1].from_version, changed=False)
        if self.version != version:
            self._point(version)
        named = {"model_name": self.model_name, "store": self.store.description}
        event = self.ledger.append(kind, {**named, "version": version, "from_version": before, **facts})
        record_head(self.store, self.model_name, version, event.hash)
        return Moved(self.model_name, version, before, changed=True)

    def _point(self, version: int) -> None:
        found = point_champion(self.store, self.model_name, version)
        if found != version:
            raise CheckFailed(
                f"the alias {CHAMPION} must name version {version} after it was set",
                received="no version" if found is None else f"version {found}, as somebody else moved it meanwhile",
                remedy="pull their ledger, look at the registry, and decide again",
            )

    def _safe_remedy(self) -> str:
        safe = self.serving.newest_safe()
        if safe is None:
            return "no version is safe yet: run `dvc repro`"
        return f"the newest version that is safe is {safe}" + (", which serves" if safe == self.version else "")


@contextmanager
def open_champion(params: Params, root: Path) -> Iterator[Champion]:
    """Lock the champion of this repository and read what registry and ledger say.

    Raises:
        BadInput: there is no ledger, an erasure was interrupted, the store does not answer, or the registry lacks the
            model.
        CheckFailed: the ledger's chain is broken.
    """
    ledger, model_name = open_ledger(Layout(root)), params.register_.model_name
    if (root / INTENT_FILE).exists():
        # It knows which version served when it began, and would take another one's weights.
        raise BadInput(
            "an erasure must be completed before another version serves",
            received="an interrupted one",
            remedy="run dlfd-ops erase run",
        )
    store = open_store(root)
    with store.lock(LOCK):
        events = ledger.trusted()
        aliases = read_aliases(store, model_name)
        if aliases is None:
            raise BadInput(
                f"the registry {store.description} must have the model {model_name} (register.model_name)",
                received="no such model",
                remedy="run `dvc repro` to register it, or check MLFLOW_TRACKING_URI",
            )
        serving = Serving.of(events, model_name, store.description)
        yield Champion(Layout(root), store, model_name, ledger, serving, aliases)


def failed_rules(serving: Serving, version: int) -> tuple[str, ...]:
    """Return why a version did not pass, a rule with value and limit each; empty when it passed."""
    evidence = serving.versions.get(version)
    if evidence is None:
        return ("registered in this ledger",)
    if evidence.gated is None:
        return ("judged by the gate",)
    rules = [
        f"{printable(rule.rule)} {_number(rule.value)} (limit {_number(rule.limit)})"
        for rule in evidence.gated.rules
        if not rule.passed
    ]
    return tuple(rules) if rules or evidence.gated.passed else ("judged by the gate",)


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.4g}"


def _some(request_ids: Sequence[str]) -> str:
    more = len(request_ids) - SHOWN_REQUESTS
    return ", ".join(map(printable, request_ids[:SHOWN_REQUESTS])) + (f" and {more} more" if more > 0 else "")
