"""Real servers on free ports of 127.0.0.1, each stopped with everything that it started."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_SECONDS = 600
STOP_SECONDS = 20
POSTGRES_ACCOUNT = "postgres"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Return whether something accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    *,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    account: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends.

    Args:
        command: program and arguments.
        log: where its output goes.
        ready: whether it answers.
        environment: all of its variables; those of this process by default.
        account: the system account that it runs as; this process's by default.
        stop: the signal that asks it to end.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            user=account,
            group=account,
            extra_groups=None if account is None else [],
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            assert process.poll() is None, f"{command[0]} ended: {_tail(log)}"
            assert time.monotonic() < deadline, f"{command[0]} is not ready: {_tail(log)}"
            time.sleep(0.1)
        yield process
    finally:
        _end(process, stop)


@contextmanager
def postgres(user: str, password: str, database: str) -> Iterator[int]:
    """Run PostgreSQL with one account and one database, in a folder of its own; yields the port.

    PostgreSQL refuses to run as root: then it runs as the account that its package made.
    """
    programs = _postgres_programs()
    account = POSTGRES_ACCOUNT if os.geteuid() == 0 else None
    port = free_port()
    home = Path(tempfile.mkdtemp(prefix="dlfd-postgres-"))
    try:
        secret = home / "password"
        secret.write_text(password)
        if account is not None:
            shutil.chown(home, account)
            shutil.chown(secret, account)
        initdb = [str(programs / "initdb"), "--username", user, "--pwfile", str(secret), "--auth=scram-sha-256"]
        subprocess.run(
            [*initdb, "--encoding=UTF8", "--no-sync", "--pgdata", str(home / "data")],
            check=True,
            capture_output=True,
            cwd="/",
            user=account,
            group=account,
            extra_groups=None if account is None else [],
        )
        command = [str(programs / "postgres"), "-D", str(home / "data"), "-p", str(port)]
        for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"):
            command += ["-c", setting]
        client = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": user, "PGPASSWORD": password}

        def ready() -> bool:
            return subprocess.run([programs / "pg_isready", "--quiet"], env=client, check=False).returncode == 0

        with running(command, home / "log", ready=ready, account=account, stop=signal.SIGINT):
            subprocess.run([programs / "createdb", database], env=client, check=True)
            yield port
    finally:
        shutil.rmtree(home)


@contextmanager
def object_store(log: Path) -> Iterator[int]:
    """Run moto's S3 server, which keeps everything in memory and checks no key; yields the port."""
    port = free_port()
    with running(["moto_server", "--host", "127.0.0.1", "--port", str(port)], log, ready=lambda: listens(port)):
        yield port


def _postgres_programs() -> Path:
    """Return the folder of PostgreSQL's programs; skips where there is none that can be used here."""
    found = [Path(path) for path in [shutil.which("initdb")] if path]
    # Debian keeps them off the PATH.
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("needs PostgreSQL: no initdb (Debian: apt-get install postgresql; .ci/run does it as root)")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(POSTGRES_ACCOUNT)
        except KeyError:
            pytest.skip("needs an account that may run PostgreSQL: it refuses root, and there is no 'postgres'")
    return found[-1].resolve().parent


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    """Ask a server to end, then end what is left of its session."""
    if process.poll() is None:
        process.send_signal(stop)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]
