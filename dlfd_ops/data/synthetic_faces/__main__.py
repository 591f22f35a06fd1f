"""The command that writes the data set: ``python -m dlfd_ops.data.synthetic_faces --root data/raw --seed 0``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dlfd_ops.data.synthetic_faces.dataset import Recipe, generate
from dlfd_ops.errors import DlfdError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data set that the arguments describe and return the exit status."""
    default = Recipe()
    parser = argparse.ArgumentParser(description="Draw a labelled data set of invented faces.")
    parser.add_argument("--root", type=Path, required=True, help="folder to write; new, empty, or made the same way")
    parser.add_argument("--subjects", type=int, default=default.subjects, help="people, with about 10 photos each")
    parser.add_argument("--seed", type=int, default=default.seed, help="the same seed gives the same data set")
    parser.add_argument("--size", type=int, default=default.size, help="side of the images, in pixels")
    given = parser.parse_args(arguments)
    try:
        generate(given.root, Recipe(given.subjects, given.seed, given.size))
    except DlfdError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
