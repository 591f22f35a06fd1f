"""Draw people at random from a manifest, or the synthetic labels, and write an import file of requests for them.

For experiments: in production the people decide. The file holds raw identities, so it goes into the private folder:

    python examples/draw_requests.py --root ../shared/faces/lfw --share 0.12 --seed 0
    dlfd-ops request import .dlfd/drawn.csv
"""

from __future__ import annotations

import argparse
import csv
import io
import random
from pathlib import Path

from dlfd_ops.files import write_text

OUT = Path(".dlfd/drawn.csv")
RECEIVED_AT = "2026-11-01"


def draw(root: Path, share: float, seed: int) -> list[dict[str, str]]:
    """Return one request a drawn person; a photo without a ``subject_id`` is a person of its own."""
    table = next(path for name in ("manifest.csv", "labels.csv") if (path := root / name).exists())
    with table.open(newline="", encoding="utf-8") as stream:
        people = sorted(
            {(row["subject_id"], "" if row["subject_id"] else row["image"]) for row in csv.DictReader(stream)}
        )
    drawn = random.Random(seed).sample(people, round(share * len(people)))  # noqa: S311  no secret depends on it
    return [
        {
            "subject_id": subject,
            "sample_file": str(root / image) if image else "",
            "legal_basis": "gdpr",
            "received_at": RECEIVED_AT,
        }
        for subject, image in drawn
    ]


def main() -> None:
    """Write the import file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with manifest.csv and the images")
    parser.add_argument("--share", type=float, required=True, help="share of the people, in (0, 1)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = draw(arguments.root, arguments.share, arguments.seed)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(OUT, text.getvalue(), mode=0o600)


if __name__ == "__main__":
    main()
