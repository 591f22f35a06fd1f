"""Judging a model request by request: measured where the photos are, carried over where they are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlfd_ops.deletion.forget_list import ForgetList
from dlfd_ops.deletion.parent import read_parent
from dlfd_ops.evaluation.effective_size import auc_error_by_people, loss_likeness
from dlfd_ops.evaluation.forgotten import FORGOTTEN_FILE, RequestEvidence, carry, measure, read_forgotten, with_gone
from dlfd_ops.evaluation.membership import CHANCE
from dlfd_ops.evaluation.people import losses_of
from dlfd_ops.evaluation.predictions import Predictions
from dlfd_ops.workflows.layout import Layout

_NEWEST = "newest"


@dataclass(frozen=True)
class Forgotten:
    """What is known about the forgotten.

    Attributes:
        by_request: evidence of every request whose photos are there, or were when an earlier version was measured.
        newest: ``mia_auc`` with ``mia_auc_error``, ``accuracy_forget``, ``loss_forget`` and ``images`` of the forget
            list alone; ``None`` where nothing was forgotten before, so that it would repeat what is said of the whole.
            The error is that of an AUC of chance on such people: what requests that are forgotten scatter by. The
            formula's error at the AUC itself goes to zero at 0 and 1, where a single photo lands by luck.
    """

    by_request: Mapping[str, RequestEvidence]
    newest: Mapping[str, float] | None


def judge_forgotten(
    layout: Layout,
    forget_list: ForgetList,
    predictions: Mapping[str, Predictions],
    sample_ids: Sequence[str],
    subjects: Mapping[str, Sequence[str]],
) -> Forgotten:
    """Judge the unlearned model on each request, and on the forget list alone.

    Args:
        layout: of the repository; the parent and its evidence are read.
        forget_list: what was forgotten now and before.
        predictions: of the unlearned model, for "forget" and "test".
        sample_ids: the photos of the forget set, in order.
        subjects: of "forget" and "test", the person of each photo.

    Raises:
        BadInput: the parent or its evidence is damaged.
    """
    forget, test = predictions["forget"], predictions["test"]
    measured = measure(forget, test, sample_ids, forget_list.samples_by_request)
    before = read_forgotten(layout.parent_model / FORGOTTEN_FILE)
    gone = {request_id: one.gone for request_id, one in before.items()}
    gone |= {request_id: count.gone for request_id, count in forget_list.counts.items()}
    by_request = with_gone(carry(measured, before, read_parent(layout.parent).covers), gone)
    if not (forget_list.rows and forget_list.earlier):
        return Forgotten(by_request, None)
    newest = measure(forget, test, sample_ids, {_NEWEST: forget_list.sample_ids})[_NEWEST]
    owners = dict(zip(sample_ids, subjects["forget"], strict=True))
    people = [owners[sample_id] for sample_id in forget_list.sample_ids]
    likeness = loss_likeness(losses_of(test), subjects["test"])
    return Forgotten(
        by_request,
        {
            "mia_auc": newest.mia_auc,
            "mia_auc_error": auc_error_by_people(CHANCE, people, subjects["test"], likeness),
            "accuracy_forget": newest.accuracy,
            "loss_forget": newest.loss,
            "images": newest.images,
        },
    )
