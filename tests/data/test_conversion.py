"""Many images at once: order kept, equal files decoded once, refusals in place."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from dlfd_ops.data.adapters import SourceRecord
from dlfd_ops.data.conversion import Converted, ImageConverter, image_path
from dlfd_ops.data.decoding import Limits
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.problems import Reason

KEY = SecretKey(bytes(32))


def records(*names: str) -> list[SourceRecord]:
    """Return a record for each file name."""
    return [SourceRecord(Path(name), None, {}, None, f"row {row}") for row, name in enumerate(names)]


def test_outcomes_come_in_order_and_equal_files_share_one(tmp_path: Path) -> None:
    """Copies have the outcome of the original, also where it is refused; each distinct image is one file."""
    root, target = tmp_path / "raw", tmp_path / "images"
    root.mkdir()
    for shade in range(40):
        for copy in "abc":
            Image.new("RGB", (8, 8), (shade, 0, 0)).save(root / f"{shade}{copy}.png")
    for copy in "abc":
        (root / f"bad{copy}.png").write_bytes(b"bad")
    names = [f"{shade}{copy}.png" for copy in "abc" for shade in [*range(40), "bad"]] + ["gone.png"]
    outcomes = list(ImageConverter(root, target, 4, Limits(10**6, 10**6), KEY).convert(records(*names)))
    assert outcomes[:41] == outcomes[41:82] == outcomes[82:123]
    assert outcomes[40] is Reason.UNDECODABLE
    assert outcomes[123] is Reason.MISSING
    written = {path.relative_to(target) for path in target.rglob("*.png")}
    assert written == {Path(image_path(outcome.sample_id)) for outcome in outcomes if isinstance(outcome, Converted)}
    assert len(written) == 40
    first = outcomes[0]
    assert isinstance(first, Converted)
    assert first.sample_id == KEY.sample_id((root / "0a.png").read_bytes())
