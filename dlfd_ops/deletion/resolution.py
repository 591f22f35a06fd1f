"""From requests to the samples that they name, and to the forget list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from dlfd_ops.data.manifest import Manifest, among, text_array
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount
from dlfd_ops.deletion.parent import Parent
from dlfd_ops.deletion.requests import DeletionRequest
from dlfd_ops.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd


def resolve(
    requests: Iterable[DeletionRequest],
    manifest: Manifest,
    parent: Parent,
    aliases: Mapping[str, str] | None = None,
    gone: pd.DataFrame | None = None,
) -> ForgetList:
    """Find the samples of every request that the parent does not exclude.

    A request that the parent covers need not match anything: its data may be gone.

    Args:
        requests: the intake.
        manifest: all samples, every split; ``train`` is what the original was trained on.
        parent: the pinned parent.
        aliases: subject key of a name that was merged into another -> subject key that the manifest has instead.
        gone: ``sample_id``, ``subject_key`` and ``split`` of what the original was trained on and the manifest lacks.

    Raises:
        BadInput: a request was made with another secret key than the manifest, or one that is still to be fulfilled
            matches no sample at all.
    """
    covered, excluded = set(parent.covers), set(parent.excluded)
    requests = list(requests)
    samples = _Samples(manifest.rows, requests, aliases or {})
    lost = _lost(requests, covered, gone, aliases or {})
    asked: dict[str, list[str]] = {}
    earlier: dict[str, list[str]] = {}
    counts: dict[str, SampleCount] = {}
    held_out: set[str] = set()
    for request in requests:
        is_covered = request.request_id in covered
        if request.request_id in excluded and not is_covered:
            continue
        _check_key(request, manifest.info.key_id)
        found = samples.of(request)
        trained = [sample for sample in found if samples.split[sample] == "train"]
        held_out |= set(found) - set(trained)
        if not is_covered:
            if not trained and (not found or lost[request.request_id]):
                raise _matches_nothing(request, lost[request.request_id])
            counts[request.request_id] = SampleCount(len(trained), len(found) - len(trained), lost[request.request_id])
        for sample in trained:
            (earlier if is_covered else asked).setdefault(sample, []).append(request.request_id)
    return ForgetList(_rows(asked), dict(sorted(counts.items())), _rows(earlier), tuple(sorted(held_out)))


def find_samples(
    requests: Iterable[DeletionRequest], manifest: Manifest, aliases: Mapping[str, str] | None = None
) -> dict[str, Sequence[str]]:
    """Return the samples of every request that the manifest holds, in every split: request id -> sample ids.

    Args:
        requests: the intake, settled requests included.
        manifest: all samples, every split.
        aliases: see :func:`resolve`.
    """
    requests = list(requests)
    samples = _Samples(manifest.rows, requests, aliases or {})
    return {request.request_id: samples.of(request) for request in requests}


def check_forgettable(forget_list: ForgetList, manifest: Manifest, parent: Parent, max_share: float) -> None:
    """Check that there is something to forget, and not too much of it.

    Where an unlearned version is the parent, nothing new to forget is no error: that version is the result.

    Args:
        forget_list: the resolved requests.
        manifest: all samples.
        parent: the pinned parent.
        max_share: largest share of the training samples, in (0, 1).

    Raises:
        BadInput: no open request, no training sample among theirs, or a larger share than ``max_share``.
    """
    if not forget_list.counts and parent.kind == "version":
        return
    if not forget_list.counts:
        raise BadInput(
            "there must be an open request to forget",
            received="none that is neither withdrawn, refused nor forgotten already",
            remedy="file one with `dlfd-ops request add`",
        )
    if not forget_list.rows:
        raise BadInput(
            "an open request must concern a training sample before there is anything to unlearn",
            received=f"{len(forget_list.counts)} about people that the model never trained on, "
            f"{next(iter(forget_list.counts))} first",
            remedy="close each with `dlfd-ops request refuse ID --reason never_trained_on` and remove the data",
        )
    trained = int((manifest.rows["split"] == "train").sum())
    if len(forget_list.cumulative_ids) == trained:
        raise BadInput(
            "an unlearning must leave training samples that nobody asked to forget",
            received=f"none of {trained}",
            remedy="train a new original on other people",
        )
    if len(forget_list) > max_share * trained:
        raise BadInput(
            f"one unlearning forgets at most the share {max_share} of the training samples (forget_list.max_share)",
            received=f"{len(forget_list)} of {trained}",
            remedy="train a new original without them, or raise the limit",
        )


class _Samples:
    """The rows of the manifest that some request names, indexed by what it names.

    The others may be a thousand times as many, and are not touched one by one.
    """

    def __init__(self, rows: pd.DataFrame, requests: Sequence[DeletionRequest], aliases: Mapping[str, str]) -> None:
        self._aliases = aliases
        subjects = {subject for request in requests if (subject := self._subject(request)) is not None}
        photos = {sample for request in requests for sample in request.sample_ids}
        named = among(rows["subject_key"], subjects) | among(rows["sample_id"], photos)
        samples, people, splits = (
            text_array(rows.loc[named, name]).to_pylist() for name in ("sample_id", "subject_key", "split")
        )
        self.split: dict[str, str] = dict(zip(samples, splits, strict=True))
        self._of_subject: dict[str | None, list[str]] = {}
        for sample, person in zip(samples, people, strict=True):
            self._of_subject.setdefault(person, []).append(sample)

    def of(self, request: DeletionRequest) -> Sequence[str]:
        if request.subject_key is None:
            return [sample for sample in request.sample_ids if sample in self.split]
        return self._of_subject.get(self._subject(request), [])

    def _subject(self, request: DeletionRequest) -> str | None:
        return None if request.subject_key is None else self._aliases.get(request.subject_key, request.subject_key)


def _rows(asked: Mapping[str, Sequence[str]]) -> tuple[ForgetRow, ...]:
    return tuple(ForgetRow(sample, tuple(sorted(ids))) for sample, ids in sorted(asked.items()))


def _check_key(request: DeletionRequest, key_id: str) -> None:
    if request.key_id != key_id:
        raise BadInput(
            "a request and the manifest must be made with the same secret key",
            received=f"{request.request_id} with key {request.key_id}, the manifest with key {key_id}",
            remedy="restore the key and run the prepare stage again (docs/requests.md, section on the key)",
        )


def _lost(
    requests: Iterable[DeletionRequest], covered: Set[str], gone: pd.DataFrame | None, aliases: Mapping[str, str]
) -> Mapping[str, int]:
    """Return how many of the photos that are gone the model still knows, by request."""
    requests = list(requests)
    if gone is None or gone.empty:
        return Counter()
    samples = _Samples(gone, requests, aliases)
    found = {request.request_id: set(samples.of(request)) for request in requests}
    forgotten = set().union(*(found[request_id] for request_id in covered & found.keys()))
    return Counter({request_id: len(lost - forgotten) for request_id, lost in found.items()})


def _matches_nothing(request: DeletionRequest, lost: int) -> BadInput:
    if lost:
        return BadInput(
            "what the model is to forget must be in the data",
            received=f"{request.request_id}: nothing of it, and the original was trained on {lost} photos of it",
            remedy="bring the photos back until they are forgotten, or train a new original (docs/registry.md)",
        )
    return BadInput(
        "a request must match at least one sample of the data",
        received=f"{request.request_id}, whose {request.kind} is not in the manifest",
        remedy="check what was asked with the person, or close it: "
        f"`dlfd-ops request refuse {request.request_id} --reason not_in_data`",
    )
