"""The intake and what hangs on it: pinned parent, ledger, DVC.

Every command that writes settles the whole intake before it ends. One that was killed between
two writes is therefore completed by running it again, and so is any other one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.timeline import printable
from dlfd_ops.deletion.parent import (
    PARENT_FILE,
    PARENT_MODEL,
    Parent,
    check_weights,
    read_parent,
    write_note,
    write_parent,
)
from dlfd_ops.deletion.requests import REQUESTS_FILE, DeletionRequest, read_requests, shown_id, write_requests
from dlfd_ops.deletion.status import RequestStatus, received_data, request_statuses
from dlfd_ops.errors import BadInput
from dlfd_ops.files import locked, private_folder, put_back
from dlfd_ops.storage.dvc_files import require_repository, track

LOCK_FILE = Path(".dlfd/requests.lock")
LOCK_SECONDS = 120.0
"""Longest wait for another command."""


class Intake:
    """The requests as they stand, to be changed under the lock (see :func:`open_intake`).

    Attributes:
        requests: the intake file, in order.
        statuses: request id -> status, by the ledger.
        ledger: the ledger.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.requests: Sequence[DeletionRequest] = read_intake()
        self.statuses = request_statuses(self.ledger.trusted(), self.requests)
        self._parent = read_parent(PARENT_FILE) if _present(PARENT_FILE) else None
        put_back(PARENT_MODEL)
        _present(PARENT_MODEL)
        lost = set(self.statuses) - {request.request_id for request in self.requests}
        if lost:
            raise BadInput(
                f"{REQUESTS_FILE} must hold every request of the ledger",
                received=f"{len(lost)} missing, {printable(min(lost), limit=80)} among them",
                remedy="restore it with dvc checkout (in a fresh clone: dvc pull)",
            )

    @property
    def closed(self) -> Collection[str]:
        """Ids of the requests that were withdrawn or refused."""
        excluded = self._parent.excluded if self._parent else ()
        return {*excluded, *(s.request_id for s in self.statuses.values() if s.state in ("refused", "withdrawn"))}

    def status(self, request_id: str) -> RequestStatus:
        """Return the status of one request.

        Raises:
            BadInput: there is no such request.
        """
        return status_of(request_id, self.statuses)

    def settle(
        self,
        requests: Sequence[DeletionRequest] | None = None,
        decision: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Write what changed, and whatever an earlier command left unwritten.

        The parent stays the one that is pinned, see :meth:`pin`.

        Args:
            requests: the new intake; ``None`` keeps it.
            decision: kind and data of an event to record.

        Raises:
            BadInput: ``models/parent`` does not hold what is pinned, as a command was killed while it pinned: DVC must
                not come to know the two as a pair. Nothing is written then.
        """
        pinned = self._parent or Parent()
        check_weights(pinned)
        if pinned.kind == "original":
            write_note()  # also in the place of weights that a killed command brought
        if requests is not None and list(requests) != list(self.requests):
            write_requests(REQUESTS_FILE, requests)
            self.requests = requests
        events = [("received", received_data(request)) for request in self.requests]
        self.ledger.append_all([*events, decision] if decision else events)
        self.statuses = request_statuses(self.ledger.events(), self.requests)
        self._write_parent(pinned)
        track([REQUESTS_FILE, PARENT_FILE, PARENT_MODEL], Path())

    def pin(self, requests: Sequence[DeletionRequest] = ()) -> None:
        """Pin what the next unlearning starts from; call :meth:`settle` afterwards.

        Args:
            requests: the new intake, where it is not written yet.

        Raises:
            BadInput: see :func:`dlfd_ops.workflows.pinning.pin_parent`; nothing is changed then.
        """
        events = self.ledger.events()
        if all(event.kind != "registered" for event in events):
            return  # no version, no champion: MLflow need not be asked
        from dlfd_ops.workflows.pinning import pin_parent

        known = {request.request_id for request in (*self.requests, *requests)}
        self._write_parent(pin_parent(known, events))

    def _write_parent(self, parent: Parent) -> None:
        pinned = parent.excluding(self.closed)
        if pinned != self._parent:
            write_parent(PARENT_FILE, pinned)
            self._parent = pinned


@contextmanager
def open_intake() -> Iterator[Intake]:
    """Lock the intake of the repository in the working directory and read it.

    Raises:
        BadInput: no DVC repository, another command holds the lock for too long, or the intake cannot be trusted.
    """
    require_repository(Path())
    private_folder(LOCK_FILE.parent)
    with locked(LOCK_FILE, seconds=LOCK_SECONDS, rule="one command at a time changes the intake"):
        yield Intake()


def read_intake() -> list[DeletionRequest]:
    """Return the requests of the intake file; none when no request was ever filed.

    Raises:
        BadInput: no DVC repository, the file is damaged, or DVC tracks it and it is not in the workspace.
    """
    require_repository(Path())
    return read_requests(REQUESTS_FILE) if _present(REQUESTS_FILE) else []


def status_of(request_id: str, statuses: Mapping[str, RequestStatus]) -> RequestStatus:
    """Return one of ``statuses``.

    Raises:
        BadInput: there is no such request.
    """
    if request_id not in statuses:
        raise BadInput(
            "the request id must be one of `dlfd-ops request list`",
            received=shown_id(request_id),
            remedy="copy it from there",
        )
    return statuses[request_id]


def _present(path: Path) -> bool:
    if not path.exists() and path.with_name(f"{path.name}.dvc").exists():
        raise BadInput(
            f"{path} must be in the workspace: DVC tracks it",
            received="no such file",
            remedy="run dvc checkout (in a fresh clone: dvc pull)",
        )
    return path.exists()
