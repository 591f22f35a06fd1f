"""RAF-DB (basic emotions) in its two published layouts.

Folders per class: ``<split>/<class>/*.jpg`` with the classes 1 to 7 or their names. Or the authors' archive:
``EmoLabel/list_patition_label.txt`` (spelt so) with lines ``train_00001.jpg 5``, and ``Image/aligned/`` with
``train_00001_aligned.jpg``. No identities are published, so each photo is its own subject.
"""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.data.adapters.adapter import (
    Source,
    SourceRecord,
    list_images,
    missing_layout,
    published_split,
    read_lines,
)
from dlfd_ops.data.problems import BadRow, Reason

EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_CODES = {str(code): name for code, name in enumerate(EMOTIONS, start=1)}
_SYNONYMS = {"surprised": "surprise", "happy": "happiness", "sad": "sadness", "angry": "anger"}
_EMOTION_OF = {name: name for name in EMOTIONS} | _CODES | _SYNONYMS
_LIST = Path("EmoLabel") / "list_patition_label.txt"
_LIST_CELLS = 2


def read_raf_db(root: Path) -> Source:
    """Read RAF-DB below ``root``; label ``emotion``."""
    for folder in (root, root / "basic"):
        if (folder / _LIST).is_file():
            return _read_list(root, folder)
    return _read_folders(root)


def _read_list(root: Path, folder: Path) -> Source:
    images = (folder / "Image" / "aligned").relative_to(root)
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    for number, line in enumerate(read_lines(folder / _LIST), start=1):
        where, cells = f"{_LIST.name} line {number}", line.split()
        if len(cells) != _LIST_CELLS:
            if cells:
                problems.append(BadRow(where, Reason.MALFORMED_ROW, line))
            continue
        name = Path(cells[0])
        path = images / name.with_name(f"{name.stem}_aligned{name.suffix}")
        emotion = _CODES.get(cells[1])
        if emotion is None:
            problems.append(BadRow(where, Reason.UNKNOWN_LABEL, str(path)))
        else:
            records.append(SourceRecord(path, None, {"emotion": emotion}, _split_of_name(name), where))
    return Source(records, {"emotion": EMOTIONS}, _LIST.name, problems, [(folder / _LIST).relative_to(root)])


def _read_folders(root: Path) -> Source:
    paths = list_images(root)
    if not any(path.parent.name.lower() in _EMOTION_OF for path in paths):
        raise missing_layout(f"{_LIST} and without class folders 1 to 7")
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    for number, path in enumerate(paths, start=1):
        where = f"image {number} of {len(paths)} in sorted order"
        emotion = _EMOTION_OF.get(path.parent.name.lower())
        if emotion is None:
            problems.append(BadRow(where, Reason.UNKNOWN_LABEL, str(path)))
        else:
            records.append(SourceRecord(path, None, {"emotion": emotion}, _split_of(path), where))
    return Source(records, {"emotion": EMOTIONS}, "the class folders", problems)


def _split_of(path: Path) -> str | None:
    folder = path.parent.parent.name.lower().removesuffix("_set")
    return published_split(folder) or _split_of_name(path)


def _split_of_name(path: Path) -> str | None:
    return published_split(path.name.split("_")[0])
