"""Which people stand in train, anchor, validation and test; nobody stands in two.

A person's split depends on the seed and on that person alone. When others are erased from the data nobody moves, so
that no test person ever becomes one whom the original was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate

from dlfd_ops.data.manifest import SPLITS
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import BadInput


def assign_splits(subjects: Iterable[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of every subject, drawn with ``seed``.

    Args:
        subjects: a text for each subject; their order does not matter. A text that does not depend on the secret key
            keeps everybody's split when the key is rotated.
        shares: share of the subjects for every split of ``manifest.SPLITS``; they sum to one.
        seed: another seed is another draw.

    Returns:
        A split for every subject. A split's size is its share of the subjects up to chance.

    Raises:
        BadInput: a split would stay empty.
    """
    assigned = {subject: _draw(subject, shares, seed) for subject in subjects}
    _check_none_empty(assigned)
    return assigned


def assign_published_splits(
    published: Mapping[str, frozenset[str]], shares: Mapping[str, float], seed: int, *, draw_from: str = "train"
) -> dict[str, str]:
    """Return the split of every subject, following the parts that the source publishes.

    A subject of several parts goes to the first of ``manifest.SPLITS`` among them, so to train where any photo is
    there: what the original trains on can't be test. A split that the source does not publish (usually the anchor)
    is drawn with ``seed`` from the people of one that it does, in proportion to the shares of both.

    Args:
        published: the parts that every subject stands in; at least one each.
        shares: as in :func:`assign_splits`; only those of unpublished splits and of the one drawn from count.
        seed: as in :func:`assign_splits`.
        draw_from: ``train``, or ``held_out`` for an original that was trained elsewhere on all of train: then
            people of validation, or of test where there is no validation, fill the unpublished splits.

    Raises:
        BadInput: a split would stay empty.
    """
    unpublished = set(SPLITS).difference(*published.values())
    donor = "train" if draw_from == "train" else "test" if "validation" in unpublished else "validation"
    # The donor and what is drawn from it, as shares of these people.
    pool = {split: shares[split] for split in SPLITS if split in unpublished | {donor}}
    assigned = {}
    for subject, parts in published.items():
        first = min(parts, key=SPLITS.index)
        assigned[subject] = _draw(subject, pool, seed) if first == donor else first
    _check_none_empty(assigned)
    return assigned


def _draw(subject: str, shares: Mapping[str, float], seed: int) -> str:
    """Return the split whose interval holds the subject's place in [0, 1)."""
    place = int(sha256_bytes(f"{seed}\n{subject}".encode("utf-8", "surrogatepass")), 16) / 2**256
    splits = [split for split in SPLITS if split in shares]
    ends = accumulate(shares[split] / sum(shares.values()) for split in splits)
    return next((split for split, end in zip(splits, ends, strict=True) if place < end), splits[-1])


def _check_none_empty(assigned: Mapping[str, str]) -> None:
    empty = [split for split in SPLITS if split not in set(assigned.values())]
    if empty:
        raise BadInput(
            "every split must hold at least one subject",
            received=f"none in {', '.join(empty)}, of {len(assigned)} subjects in all",
            remedy="give more subjects, or other prepare.splits",
        )
