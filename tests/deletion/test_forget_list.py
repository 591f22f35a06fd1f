"""Resolution of requests to samples, and the forget list's file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlfd_ops.data.manifest import SPLITS, Manifest, ManifestInfo
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount, read_forget_list, write_forget_list
from dlfd_ops.deletion.parent import Parent
from dlfd_ops.deletion.requests import DeletionRequest, Draft, Target, file_requests
from dlfd_ops.deletion.resolution import check_forgettable, resolve
from dlfd_ops.errors import BadInput

KEY_ID = "ab" * 8
PEOPLE = {"train": "abc", "anchor": "d", "validation": "e", "test": "f"}


def sample(person: str, number: int) -> str:
    """Return the sample id of a person's photo."""
    return person * 63 + str(number)


def people(*letters: str) -> list[DeletionRequest]:
    """Return one request a person."""
    return file([Target(key_id=KEY_ID, subject_key=letter * 64) for letter in letters])


def file(targets: Sequence[Target]) -> list[DeletionRequest]:
    """File a request for each target."""
    drafts = [Draft(target, datetime(2026, 1, 5, tzinfo=UTC), date(2026, 2, 5), "gdpr") for target in targets]
    return file_requests([], drafts, closed=())[0]


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """Six people with two photos each, three of them in the training split."""
    rows = [
        {"sample_id": sample(person, n), "path": "p", "subject_key": person * 64, "split": split, "gender": 0}
        for split in SPLITS
        for person in PEOPLE[split]
        for n in range(2)
    ]
    return Manifest(pd.DataFrame(rows), ManifestInfo("toy", KEY_ID, 64, {"gender": ("f", "m")}), Path())


def test_a_subject_resolves_to_all_their_photos(manifest: Manifest) -> None:
    """Every training photo of the person is listed with the request that asks for it."""
    (request,) = people("a")
    found = resolve([request], manifest, Parent())
    assert found.rows == tuple(ForgetRow(sample("a", n), (request.request_id,)) for n in range(2))
    assert found.counts == {request.request_id: SampleCount(train=2, other=0)}


def test_two_requests_for_one_photo_share_its_row(manifest: Manifest) -> None:
    """A sample stands once, with every request that names it, sorted."""
    requests = file(
        [
            Target(key_id=KEY_ID, subject_key="a" * 64),
            Target(key_id=KEY_ID, sample_ids=(sample("a", 1), sample("b", 0))),
        ]
    )
    found = resolve(requests, manifest, Parent())
    both = tuple(sorted(request.request_id for request in requests))
    assert {row.sample_id: row.request_ids for row in found.rows} == {
        sample("a", 0): (requests[0].request_id,),
        sample("a", 1): both,
        sample("b", 0): (requests[1].request_id,),
    }


def test_an_alias_leads_to_the_merged_person(manifest: Manifest) -> None:
    """A name that was merged into another still finds the photos; without the alias it matches nothing."""
    requests = people("9")
    assert resolve(requests, manifest, Parent(), {"9" * 64: "b" * 64}).sample_ids == (sample("b", 0), sample("b", 1))
    with pytest.raises(BadInput, match=f"{requests[0].request_id}, whose subject is not in the manifest"):
        resolve(requests, manifest, Parent())


def test_a_request_that_matches_nothing_is_named(manifest: Manifest) -> None:
    """One unknown sample batch among good requests stops the resolution."""
    requests = [*people("a"), *file([Target(key_id=KEY_ID, sample_ids=("0" * 64,))])]
    with pytest.raises(BadInput, match=f"{requests[1].request_id}, whose samples"):
        resolve(requests, manifest, Parent())


def test_people_outside_the_training_split_are_counted(manifest: Manifest) -> None:
    """Nothing is unlearned for them, but their request is resolved, and their photos are named to be left out."""
    requests = people("a", "f")
    found = resolve(requests, manifest, Parent())
    assert found.counts[requests[1].request_id] == SampleCount(train=0, other=2)
    assert len(found) == 2
    assert found.held_out == (sample("f", 0), sample("f", 1))
    assert found.digest() != resolve(requests[:1], manifest, Parent()).digest()
    assert set(found.request_ids) == {request.request_id for request in requests}


def test_covered_and_excluded_requests_are_left_out(manifest: Manifest) -> None:
    """What the parent forgot already or what was withdrawn is not resolved, not even when it matches nothing."""
    covered, excluded, opened = people("9", "8", "c")
    found = resolve([covered, excluded, opened], manifest, version_covering(covered).excluding([excluded.request_id]))
    assert found.request_ids == (opened.request_id,)
    assert found.earlier == ()
    assert found.held_out == ()


def test_the_held_out_photos_of_those_forgotten_before_stay_left_out(manifest: Manifest) -> None:
    """A person whom the parent covers is no stranger to learn from in the next unlearning either."""
    before, opened = people("d", "c")
    found = resolve([before, opened], manifest, version_covering(before))
    assert found.held_out == (sample("d", 0), sample("d", 1))
    assert before.request_id not in found.counts


def version_covering(*requests: DeletionRequest) -> Parent:
    """Return a pinned version that has forgotten some requests."""
    covers = tuple(sorted(request.request_id for request in requests))
    return Parent(kind="version", version=2, weights_digest="f" * 64, unlearnings=1, covers=covers)


def test_what_the_parent_forgot_stands_beside_what_is_to_be_forgotten(manifest: Manifest) -> None:
    """Earlier samples that are still there are named, so that nothing learns from them, and are not forgotten again."""
    before, opened = people("a", "c")
    found = resolve([before, opened], manifest, version_covering(before))
    assert found.sample_ids == (sample("c", 0), sample("c", 1))
    assert found.earlier == tuple(ForgetRow(sample("a", n), (before.request_id,)) for n in range(2))
    assert found.cumulative_ids == (sample("a", 0), sample("a", 1), *found.sample_ids)
    assert set(found.samples_by_request) == {before.request_id, opened.request_id}
    assert found.digest() != resolve([opened], manifest, Parent()).digest()


def test_nothing_new_is_fine_where_a_version_is_the_parent(manifest: Manifest) -> None:
    """The version is the result; with the original there would be none."""
    (before,) = people("a")
    parent = version_covering(before)
    check_forgettable(resolve([before], manifest, parent), manifest, parent, 0.5)


def test_another_key_is_refused_with_both_ids(manifest: Manifest) -> None:
    """A request made with another key names itself and the two key ids."""
    (request,) = file([Target(key_id="cd" * 8, subject_key="a" * 64)])
    with pytest.raises(BadInput, match=f"{request.request_id} with key {'cd' * 8}, the manifest with key {KEY_ID}"):
        resolve([request], manifest, Parent())


@pytest.mark.parametrize(
    ("letters", "max_share", "said"),
    [
        ("", 0.5, "file one with `dlfd-ops request add`"),
        ("f", 0.5, "never trained on"),
        ("ab", 0.5, "received 4 of 6"),
        ("abc", 0.99, "must leave training samples that nobody asked to forget; received none of 6"),
    ],
)
def test_nothing_or_too_much_to_forget_is_bad_input(
    manifest: Manifest, letters: str, max_share: float, said: str
) -> None:
    """No open request, none with a training sample, or more than the largest share."""
    found = resolve(people(*letters), manifest, Parent())
    with pytest.raises(BadInput, match=said):
        check_forgettable(found, manifest, Parent(), max_share)


def test_exactly_the_largest_share_is_allowed(manifest: Manifest) -> None:
    """The limit itself is within the limit."""
    check_forgettable(resolve(people("a", "b"), manifest, Parent()), manifest, Parent(), 4 / 6)


def test_rounds_that_leave_nobody_are_bad_input(manifest: Manifest) -> None:
    """Each round may be small: who was forgotten before is no example of whom to keep."""
    asked = people("a", "b", "c")
    parent = version_covering(*asked[:2])
    with pytest.raises(BadInput, match="received none of 6"):
        check_forgettable(resolve(asked, manifest, parent), manifest, parent, 0.5)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.text("0123456789abcdef", min_size=4, max_size=4), st.sets(st.sampled_from("xyz"), min_size=1)),
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, asked: dict[str, set[str]]) -> None:
    """Rows, counts and digest survive the file."""
    rows = tuple(ForgetRow(key, tuple(sorted(ids))) for key, ids in sorted(asked.items()))
    counts = {name: SampleCount(sum(name in ids for ids in asked.values()), 1) for name in "xyz"}
    written = ForgetList(rows, counts, earlier=rows[::2], held_out=("h",))
    path = tmp_path_factory.mktemp("list") / "forget_list.parquet"
    write_forget_list(path, written)
    assert read_forget_list(path) == written
    assert read_forget_list(path).digest() == written.digest()
    assert pd.read_parquet(path).columns.tolist() == ["sample_id", "request_ids", "earlier"]


def test_the_digest_tells_lists_apart(manifest: Manifest) -> None:
    """The order of the requests does not matter; a further sample or request does."""
    one, two = people("a", "b")
    digest = resolve([one, two], manifest, Parent()).digest()
    assert resolve([two, one], manifest, Parent()).digest() == digest
    assert resolve([one], manifest, Parent()).digest() != digest
    batch = file([Target(key_id=KEY_ID, sample_ids=(sample("a", 0),))])
    assert resolve([one, two, *batch], manifest, Parent()).digest() != digest


@pytest.mark.parametrize(
    "damage", ["missing", "no parquet", "foreign", "repeated", "uncounted", "miscounted", "claimed"]
)
def test_a_damaged_forget_list_is_bad_input(tmp_path: Path, damage: str) -> None:
    """A missing, foreign or inconsistent file is bad input with the remedy."""
    path = tmp_path / "forget_list.parquet"
    row = ForgetRow("a", ("x",))
    if damage == "no parquet":
        path.write_bytes(b"PAR1")
    elif damage == "foreign":
        pd.DataFrame({"sample_id": ["a"], "request_ids": [["x"]]}).to_parquet(path)
    elif damage == "repeated":
        write_forget_list(path, ForgetList((row, row), {"x": SampleCount(2, 0)}))
    elif damage == "uncounted":
        write_forget_list(path, ForgetList((row,), {"y": SampleCount(1, 0)}))
    elif damage == "miscounted":
        write_forget_list(path, ForgetList((row,), {"x": SampleCount(2, 0)}))
    elif damage == "claimed":
        write_forget_list(path, ForgetList((row,), {"x": SampleCount(1, 0), "y": SampleCount(1, 0)}))
    with pytest.raises(BadInput, match="run the forget_list stage"):
        read_forget_list(path)
