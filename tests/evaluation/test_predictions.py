"""Predictions: known losses, evaluation mode, modes given back."""

from __future__ import annotations

import math

import pytest
import torch

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.predictions import evaluation_mode, predict, score
from dlfd_ops.models.classifier import FaceClassifier, ModelCard


@pytest.fixture(scope="module")
def model() -> FaceClassifier:
    """A small untrained classifier of three emotions."""
    torch.manual_seed(0)
    return FaceClassifier(ModelCard("resnet18", ("emotion",), {"emotion": ("calm", "glad", "sad")}, 16))


def _faces(count: int) -> LabelledImages:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return LabelledImages(images, torch.arange(count) % 3, ("",) * count, ("",) * count)


def test_loss_of_equal_logits_is_the_log_of_the_number_of_classes() -> None:
    """A single-label model that prefers nothing loses log C nats, at confidence 1 / C."""
    found = score(torch.zeros(5, 8), torch.arange(5))
    assert found.loss.tolist() == pytest.approx([math.log(8)] * 5)
    assert found.confidence.flatten().tolist() == pytest.approx([1 / 8] * 5)


def test_loss_is_minus_the_log_of_the_true_class_probability() -> None:
    """Cross entropy reads the true class only."""
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    found = score(probabilities.log(), torch.tensor([0, 1]))
    assert found.loss.tolist() == pytest.approx([-math.log(0.7), -math.log(0.3)])
    assert found.correct.tolist() == [1.0, 0.0]


def test_samples_that_the_model_is_sure_of_are_no_ties() -> None:
    """In float32 all of these losses would be 0 and all confidences 1, and no attack could rank them."""
    margins = torch.tensor([20.0, 25.0, 30.0])
    one = score(torch.stack([margins, torch.zeros(3)], dim=1), torch.zeros(3, dtype=torch.int64))
    several = score(margins.unsqueeze(1), torch.ones(3, 1))
    for found in (one, several):
        assert found.loss.tolist() == pytest.approx([math.exp(-20), math.exp(-25), math.exp(-30)], rel=1e-6)
        assert (1 - found.confidence).flatten().tolist() == pytest.approx(found.loss.tolist(), rel=1e-2)


def test_several_labels_are_averaged() -> None:
    """Loss and correctness of a multi-label image are means over its labels; each label is a decision."""
    logits = torch.tensor([[2.0, -2.0, 2.0], [0.0, 0.0, 0.0]])
    found = score(logits, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    right, wrong = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    assert found.loss.tolist() == pytest.approx([(2 * right + wrong) / 3, math.log(2)])
    assert found.correct.tolist() == pytest.approx([2 / 3, 1.0])
    assert found.confidence.shape == (2, 3)
    assert float(found.confidence.min()) >= 0.5


def test_predictions_do_not_depend_on_the_batch_size(model: FaceClassifier) -> None:
    """Dropout and batch statistics are off: any cut into batches gives the same numbers."""
    data = _faces(7)
    model.train()
    whole = predict(model, data, batch_size=7, device="cpu")
    cut = predict(model, data, batch_size=3, device="cpu")
    assert torch.allclose(whole.logits, cut.logits, atol=1e-5)
    assert len(whole) == 7


def test_every_module_gets_its_own_mode_back(model: FaceClassifier) -> None:
    """A batch norm that was frozen in a training model is still frozen afterwards, also after an error."""
    model.train()
    frozen = model.trunk.get_submodule("bn1")
    frozen.eval()
    predict(model, _faces(2), batch_size=2, device="cpu")
    assert model.training
    assert not frozen.training
    with pytest.raises(RuntimeError, match="inside"):
        _fail_inside(model)
    assert model.training
    assert not frozen.training


def _fail_inside(model: FaceClassifier) -> None:
    with evaluation_mode(model):
        assert not model.training
        raise RuntimeError("inside")


def test_predicting_changes_neither_weights_nor_statistics(model: FaceClassifier) -> None:
    """Looking at a model leaves its state as it was, and records no gradient."""
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = predict(model, _faces(4), batch_size=2, device="cpu")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not found.logits.requires_grad


def test_no_images_give_empty_predictions(model: FaceClassifier) -> None:
    """An empty set is predicted without a forward pass."""
    found = predict(model, _faces(0), batch_size=4, device="cpu")
    assert len(found) == 0
    assert found.logits.shape == (0, 3)
    assert found.hits.shape == (0, 1)
