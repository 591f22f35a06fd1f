"""``params.yaml``: what is shipped is valid, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dlfd_ops.errors import BadInput
from dlfd_ops.params import ScrubSection, load_params

REPOSITORY = Path(__file__).parents[1]
SHIPPED = [REPOSITORY / "params.yaml", *sorted((REPOSITORY / "configs/params").glob("*.yaml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_are_valid(path: Path) -> None:
    """Every params file in the repository loads, and has a model name of its own."""
    assert load_params(path).register_.model_name
    names = [load_params(other).register_.model_name for other in SHIPPED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("base.seed", -1, "base.seed"),
        ("base.colour", "red", "base.colour"),
        ("prepare.splits.train", 0.9, "sum to 1"),
        ("unlearn.method", "magic", "unlearn.method"),
        ("unlearn.dlfd.variant", "magic", "unlearn.dlfd.variant"),
        ("unlearn.scrub.max_share", 1.0, "unlearn.scrub.max_share"),
        ("unlearn.cf_k.layers", 0, "unlearn.cf_k.layers"),
        ("unlearn.salun.salient", 0.5, "unlearn.salun.salient"),
        ("train.epochs", "many", "train.epochs"),
        ("base.labels", [], "base.labels"),
        ("base.labels", ["gender", "gender"], "a label must be listed once"),
        ("register.policy.max_accuracy_drop", -0.01, "max_accuracy_drop"),
        ("register.policy.max_attack_auc_excess", 0.6, "max_attack_auc_excess"),
        ("register.policy.max_overshoot", "0.1", "max_overshoot"),
        ("register.policy.max_attack_auc_error", 0, "max_attack_auc_error"),
        ("register.policy.min_nomus", 1.5, "min_nomus"),
        ("register.policy.min_nomus", float("nan"), "min_nomus"),
        ("register.policy.min_nomus", True, "min_nomus"),
        ("register.policy.min_evidence", "rumour", "min_evidence"),
        ("register.policy.require_complete", None, "require_complete"),
        ("benchmark.methods", ["original", "retrained"], "every key of benchmark.trials"),
        ("benchmark.seeds", [1, 1], "seeds must differ"),
        ("benchmark.trials.fine_tune", [{"method": "fine_tune", "unseen_share": 0.1}], "can't set unseen_share"),
        ("benchmark.trials.dlfd-anchored", [{"method": "magic"}], "benchmark.trials.dlfd-anchored: unlearn.method"),
        ("benchmark.trials.fine_tune", [{"learning_rate": 0.02}], "must say its method"),
        ("benchmark.trials.fine_tune", [{"method": "scrub"}], "bears the name of a method"),
        ("benchmark.trials.fine_tune", [{"method": "fine_tune", "dlfd.speed": 1}], "unlearn.dlfd.speed"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(key: str, value: object, message: str, tmp_path: Path) -> None:
    """One line says the key, the rule and the value received."""
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    *sections, name = key.split(".")
    section = params
    for inner in sections:
        section = section.setdefault(inner, {})
    section[name] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    with pytest.raises(BadInput, match=message) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)


def test_a_method_that_is_not_chosen_needs_no_section() -> None:
    """Its hyperparameters have defaults, so that a params file holds only what differs."""
    listed = yaml.safe_load((REPOSITORY / "params.yaml").read_text())["unlearn"]
    assert "scrub" not in listed
    assert load_params(REPOSITORY / "params.yaml").unlearn.scrub == ScrubSection()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "- a\n- b\n",
        "base: [",
        "a: !!python/object/apply:os.system [ls]",
        "a: 2026-13-45",
        "a: !!int abc",
        "a: !!bool zzz",
        "a: !!timestamp hello",
        pytest.param("a: " + 5_000 * "9", id="a number of 5,000 digits"),
        pytest.param(20_000 * "[", id="deeply nested"),
    ],
)
def test_another_file_is_bad_input(content: str, tmp_path: Path) -> None:
    """Empty, foreign, broken and hostile YAML are refused in one line."""
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(BadInput):
        load_params(path)


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    """There is no default that stands in for it."""
    with pytest.raises(BadInput, match="no such file"):
        load_params(tmp_path / "params.yaml")
