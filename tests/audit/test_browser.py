"""The report's page in a real Chromium: nothing is fetched, nothing complains, everything is printed."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from dlfd_ops.audit.composing import Material, compose
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.rendering import render


@pytest.fixture
def chromium() -> str:
    """The program; skips where it is not installed."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium: install the package chromium")
    return found


@pytest.mark.slow
def test_a_browser_opens_the_page_without_a_request_or_a_complaint(
    chromium: str, history: Ledger, receipt: Receipt, tmp_path: Path
) -> None:
    """The network log names the page alone, the console stays empty, and the document stands as it was written."""
    material = Material("synthetic", "data/raw", None, history.events(), receipt=receipt)
    page, log = tmp_path / "report.html", tmp_path / "net.json"
    page.write_text(render(compose(material, as_of=date(2026, 11, 20), due_soon_days=7)))
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    assert "Who asked to be forgotten" in done.stdout
    # A page from a file has no origin, which the log calls "null"; what the browser asks for by itself has another.
    params = [event["params"] for event in json.loads(log.read_text())["events"] if "params" in event]
    asked = {str(one["url"]) for one in params if one.get("initiator") == "null"}
    assert not {address for address in asked if address.startswith("http")}
