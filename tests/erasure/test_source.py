"""What an erasure takes out of the raw data: photos and rows as the prepare stage reads them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest
from dvc.repo import Repo

from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.manifest import Manifest
from dlfd_ops.deletion.erasure import RAW, Intent, Kind, Plan, Target
from dlfd_ops.deletion.suppression import suppress_subject
from dlfd_ops.files import write_text
from dlfd_ops.params import Params, load_params
from dlfd_ops.storage.repository import DvcRepository, locked_repository
from dlfd_ops.workflows.erasure.people import Asked, People
from dlfd_ops.workflows.erasure.steps import Work, remove_raw
from dlfd_ops.workflows.erasure.survey import Surroundings, Survey
from dlfd_ops.workflows.layout import Layout
from tests.erasure.estate import REPOSITORY

SOURCE = Path("data/raw")
KEY = SecretKey(secrets.token_bytes(32))
REQUEST = "req-000000000001"


@dataclass(frozen=True)
class Erasing:
    """An erasure of the person called Anna, as far as the raw data are concerned."""

    root: Path
    repository: DvcRepository

    def run(self, files: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, str]:
        """Put the files into the source, plan, carry the plan out; return what is left there."""
        for name, content in files.items():
            write_text(self.root / SOURCE / name, content)
        params, layout = _params(columns), Layout(self.root)
        people = People((Asked(REQUEST, frozenset({KEY.subject_key("Anna")}), frozenset()),), NOBODY, 0)
        survey = Survey(Surroundings(params, layout, KEY, self.repository, Mock(), people))
        intent = _intent([photo.path for photo in survey.raw_photos], list(survey.tables))
        remove_raw(Work(params, layout, KEY, self.repository, intent, Mock()))
        left = sorted(path for path in (self.root / SOURCE).rglob("*") if path.is_file())
        return {path.relative_to(self.root / SOURCE).as_posix(): path.read_text() for path in left}


NOBODY = Manifest(pd.DataFrame(columns=["sample_id", "subject_key"], dtype="str"), Mock(), Path())


@pytest.fixture
def erasing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Erasing]:
    """An empty repository."""
    monkeypatch.chdir(tmp_path)
    Repo.init(".", no_scm=True).close()
    with locked_repository(tmp_path) as repository:
        yield Erasing(tmp_path, repository)


def test_a_table_with_other_column_names_is_read_as_prepare_reads_it(erasing: Erasing) -> None:
    """Without them the erasure found no image, or no person in any row."""
    table = "file,who,age\na/1.png,Anna,old\nb/1.png,Bert,old\n"
    files = {"manifest.csv": table, "a/1.png": "Anna's face", "b/1.png": "Bert's face"}
    left = erasing.run(files, {"image": "file", "subject_id": "who"})
    assert left == {"manifest.csv": "file,who,age\nb/1.png,Bert,old\n", "b/1.png": "Bert's face"}


def test_what_prepare_skipped_goes_too(erasing: Erasing) -> None:
    """A row without a label, one that is too short, one whose photo is missing; another's refused row stays."""
    hers = ["a/bad.png,Anna,", "a/short.png,Anna", "a/missing.png,Anna,old", ",Anna,young"]
    others = ["b/1.png,Bert,old", "b/2.png,Bert,old", "c/1.png,Cleo,young", "c/2.png,Cleo,", "c/3.png,Cleo,young"]
    photos = ["a/bad.png", "a/short.png", "b/1.png", "b/2.png", "c/1.png", "c/2.png", "c/3.png"]
    files = {name: name for name in photos}
    left = erasing.run(files | {"manifest.csv": _table(*hers, *others)}, {})
    assert left == {name: name for name in photos[2:]} | {"manifest.csv": _table(*others)}


def _table(*rows: str) -> str:
    return "".join(f"{row}\n" for row in ("image,subject_id,age", *rows))


def _params(columns: Mapping[str, str]) -> Params:
    content = load_params(REPOSITORY / "params.yaml").model_dump(by_alias=True)
    content["prepare"].update({"source": "manifest_csv", "root": str(SOURCE), "columns": columns, "classes": {}})
    return Params.model_validate(content)


def _intent(photos: Sequence[str], tables: Sequence[str]) -> Intent:
    return Intent(
        plan=Plan(key_id=KEY.key_id, request_ids=(REQUEST,), items=(), unreadable_revisions=(), not_reached=()),
        suppress=(suppress_subject(KEY.key_id, KEY.subject_key("Anna"), REQUEST),),
        source=str(SOURCE),
        photos=tuple(photos),
        recorded={},
        remotes=(),
        manifest_before="0" * 64,
        trained_on_before="0" * 64,
        trained_on_after="0" * 64,
        targets=(*(_target("photo", name) for name in photos), *(_target("table", name) for name in tables)),
    )


def _target(kind: Kind, name: str) -> Target:
    return Target(object=KEY.object_key(name), kind=kind, store=RAW, outcome="remove", name=name)
