"""Number formats: a matter of one run, in the trunk alone, refused where the device has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dlfd_ops.errors import BadInput
from dlfd_ops.models import precision
from dlfd_ops.models.checkpoint import save_classifier, weights_digest
from dlfd_ops.models.classifier import Classifier, FaceClassifier
from dlfd_ops.models.precision import computing_in, set_precision

needs_bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="needs a processor with bfloat16"
)


def types_seen(model: Classifier) -> set[torch.dtype]:
    """Return the types of what the trunk's convolutions return in one pass."""
    seen = set()
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(lambda _, __, output: seen.add(output.dtype)) for layer in layers]
    model(torch.rand(2, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    return seen


@needs_bfloat16
def test_the_trunk_alone_is_computed_in_bfloat16(make_classifier: Callable[..., FaceClassifier]) -> None:
    """Convolutions run in bfloat16, features and logits are float32 with more than eight bits, weights stay float32."""
    model = make_classifier().eval()
    with computing_in(model, "bfloat16"):
        assert types_seen(model) == {torch.bfloat16}
        output = model(torch.rand(2, 3, 32, 32))
    assert {output.features.dtype, output.logits.dtype} == {torch.float32}
    assert not torch.equal(output.logits, output.logits.bfloat16().float())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@needs_bfloat16
def test_the_format_ends_with_the_run(make_classifier: Callable[..., FaceClassifier]) -> None:
    """Afterwards the model computes in float32 again, also when the run failed."""
    model = make_classifier().eval()
    with pytest.raises(KeyboardInterrupt), computing_in(model, "bfloat16"):
        raise KeyboardInterrupt
    assert types_seen(model) == {torch.float32}


@needs_bfloat16
def test_answers_in_both_formats_are_near(make_classifier: Callable[..., FaceClassifier]) -> None:
    """Eight bits in the trunk move the probabilities by little."""
    model, images = make_classifier().eval(), torch.rand(8, 3, 32, 32)
    with torch.no_grad():
        exact = model(images).logits.softmax(dim=1)
        with computing_in(model, "bfloat16"):
            rounded = model(images).logits.softmax(dim=1)
    assert torch.allclose(exact, rounded, atol=0.02)


def test_a_device_without_bfloat16_refuses(
    make_classifier: Callable[..., FaceClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No machine silently computes something else than the recipe says."""
    monkeypatch.setattr(precision, "_has_bfloat16", lambda device: False)
    with pytest.raises(BadInput, match="bfloat16"):
        set_precision(make_classifier(), "bfloat16")


def test_the_memory_layout_leaves_no_trace_on_disk(
    tmp_path: Path, make_classifier: Callable[..., FaceClassifier]
) -> None:
    """The same weights, channels last or not, are the same file."""
    model = make_classifier()
    kernels = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    save_classifier(model, tmp_path / "a")
    save_classifier(model.to(memory_format=torch.contiguous_format), tmp_path / "b")
    assert weights_digest(tmp_path / "a") == weights_digest(tmp_path / "b")
