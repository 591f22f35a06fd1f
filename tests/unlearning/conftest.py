"""Fixtures of the methods' tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import ARCHITECTURES, FaceClassifier
from tests.unlearning.case import Case, flat_trunk, tiny_trunk


@pytest.fixture
def make_case(
    monkeypatch: pytest.MonkeyPatch,
    make_images: Callable[..., LabelledImages],
    make_classifier: Callable[..., FaceClassifier],
) -> Callable[..., Case]:
    """Return a maker of cases with a tiny architecture, single-label or multi-label."""
    monkeypatch.setitem(ARCHITECTURES, "tiny", tiny_trunk)
    monkeypatch.setitem(ARCHITECTURES, "flat", flat_trunk)
    return partial(Case, make_images, make_classifier)


@pytest.fixture(params=[1, 3], ids=["single-label", "multi-label"])
def case(request: pytest.FixtureRequest, make_case: Callable[..., Case]) -> Case:
    """A single-label and a multi-label case."""
    return make_case(request.param)
