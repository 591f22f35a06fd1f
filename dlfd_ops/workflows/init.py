"""``dlfd-ops init``: the pipeline in somebody else's repository, in one folder of its own.

Nothing that is there is changed. Everything is planned and checked first, then written; a file that
stands already with the same content is left alone, so a run that was killed is completed by the next one.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dlfd_ops.data.adapters import Source
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput
from dlfd_ops.files import write_bytes
from dlfd_ops.models.classifier import Factory, ModelCard
from dlfd_ops.models.factory import call_factory, factory_file
from dlfd_ops.models.wrapped import WrappedClassifier, check_classifier, default_layer
from dlfd_ops.params import Params, check_params
from dlfd_ops.storage.dvc_files import track
from dlfd_ops.tracking.adoption import fetch_weights, is_model_uri
from dlfd_ops.workflows.init_files import WEIGHTS, plan_files, template_params
from dlfd_ops.workflows.prepare import read_source

MAX_LISTED = 5


@dataclass(frozen=True)
class Adoption:
    """What the user says about the model and the data; paths are relative to the top folder of the repository.

    Attributes:
        name: of the data set: MLflow's experiment is ``dlfd-NAME``, the registered model ``NAME``.
        factory: ``package.module:function``.
        arguments: of the factory.
        weights: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, or a safetensors file.
        data: folder of the images.
        source: adapter that reads it.
        labels: what the model predicts.
        columns: our column -> the table's.
        classes: label -> class names in the order of the model's outputs, where it is not the source's order.
        image_size: side of the model's input, in pixels.
        mean: of each colour channel, for pixel values in [0, 1].
        std: of each colour channel, for pixel values in [0, 1].
        layer: where the features are taken; None finds the last linear layer.
        side: whether they are what goes into ``layer`` or what comes out of it.
        folder: of the pipeline.
    """

    name: str
    factory: str
    arguments: dict[str, Any]
    weights: str
    data: Path
    source: str
    labels: tuple[str, ...]
    columns: dict[str, str]
    classes: dict[str, tuple[str, ...]]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layer: str | None
    side: Literal["input", "output"]
    folder: Path


@dataclass(frozen=True)
class Initialised:
    """What :func:`init` did, or would do.

    Attributes:
        folder: of the pipeline.
        origin: where the original's weights come from, pinned.
        layer: where the features are taken.
        side: of the layer.
        splits: images by published split.
        new: files that were missing, with their text (empty for the weights).
        kept: files that stood already, with the same content.
    """

    folder: Path
    origin: str
    layer: str
    side: str
    splits: dict[str, int]
    new: dict[Path, str]
    kept: tuple[Path, ...]


def init(wish: Adoption, *, dry_run: bool = False) -> Initialised:
    """Add the pipeline to the repository in the working directory.

    Args:
        wish: model and data.
        dry_run: check and plan only, write nothing.

    Raises:
        BadInput: no Git and DVC repository, the data or the model do not fit, or another file stands in the way.
    """
    _check_place(wish)
    code = factory_file(wish.factory)
    origin, state = _weights(wish.weights)
    source = _source(wish, _params(wish, Factory("not found yet", wish.side, wish.arguments, origin)))
    # Written down: a class that a later delivery adds, or names otherwise, would give the others another order.
    wish = replace(wish, classes={label: source.classes[label] for label in wish.labels})
    factory = _fitting_factory(wish, wish.classes, origin, state)
    files = plan_files(wish.folder, _params(wish, factory), code)
    weights = wish.folder / WEIGHTS
    files[weights] = save({name: tensor.contiguous().clone() for name, tensor in state.items()})
    new = {path: content for path, content in files.items() if not path.exists()}
    _check_untouched({path: content for path, content in files.items() if path not in new})
    if not dry_run:
        for path, content in new.items():
            write_bytes(path, content)
        track([WEIGHTS], wish.folder)
    return Initialised(
        folder=wish.folder,
        origin=origin,
        layer=factory.layer,
        side=factory.side,
        splits=dict(Counter(record.split or "no split" for record in source.records)),
        new={path: "" if path == weights else content.decode() for path, content in new.items()},
        kept=tuple(path for path in files if path not in new),
    )


def _check_place(wish: Adoption) -> None:
    missing = [name for name in (".git", ".dvc") if not Path(name).exists()]
    if missing:
        raise BadInput(
            "the command must run in the top folder of a Git and DVC repository",
            received=f"a folder without {' and '.join(missing)}",
            remedy="change to that folder, or run git init and dvc init in it",
        )
    top, folder = Path().resolve(), wish.folder.resolve()
    if folder == top or not folder.is_relative_to(top):
        raise BadInput(
            "--folder must be a folder of its own in the repository",
            received="the top folder" if folder == top else "a folder outside",
            remedy="give another one",
        )
    if not wish.data.is_dir():
        raise BadInput("--data must be a folder of images", received="no such folder", remedy="correct the path")


def _params(wish: Adoption, factory: Factory) -> Params:
    values = template_params()
    values["base"] |= {"dataset": wish.name, "labels": list(wish.labels), "image_size": wish.image_size}
    values["prepare"] |= {
        "source": wish.source,
        "root": os.path.relpath(wish.data, wish.folder),
        "columns": wish.columns,
        "classes": {label: list(names) for label, names in wish.classes.items()},
        "split_by": "source",
        "draw_from": "held_out",
    }
    values["train"] |= {
        "architecture": wish.factory,
        "factory": {
            **asdict(factory),
            "mean": list(wish.mean),
            "std": list(wish.std),
            "weights": WEIGHTS.as_posix(),
        },
    }
    values["register"]["model_name"] = wish.name
    return check_params(values, "params.yaml")


def _weights(given: str) -> tuple[str, dict[str, Tensor]]:
    if is_model_uri(given):
        found = fetch_weights(given, Path())
        return found.uri, found.state
    try:
        return _named(given), load_file(given)
    except (OSError, SafetensorError) as error:
        raise BadInput(
            "--weights must be models:/NAME@ALIAS, models:/NAME/VERSION or a safetensors file",
            received=str(error)[:120],
            remedy="write one with safetensors.torch.save_file(model.state_dict(), FILE)",
        ) from error


def _named(file: str) -> str:
    """Return how a weight file is recorded: by its path, or outside of the repository by its name and content.

    Git, the model's card and its tag in MLflow carry the record: a path from elsewhere may name a person.
    """
    path = Path(os.path.relpath(file))
    return f"{path.name} (SHA-256 {sha256_file(path)})" if ".." in path.parts else path.as_posix()


def _source(wish: Adoption, params: Params) -> Source:
    source = read_source(params, wish.data)
    unknown = [label for label in wish.labels if label not in source.classes]
    if unknown:
        raise BadInput(
            "--label must name a label of the data",
            received=", ".join(unknown),
            remedy=f"choose from: {', '.join(source.classes) or 'none found'}",
        )
    published = {record.split for record in source.records}
    if "train" not in published or not published & {"validation", "test"}:
        raise BadInput(
            "the data must say which images the model was trained on, and hold some that it was not",
            received=f"the splits {', '.join(sorted(filter(None, published))) or 'none'}",
            remedy="give the table a column split (train, validation, test), or the images folders of these names",
        )
    return source


def _fitting_factory(
    wish: Adoption, classes: dict[str, tuple[str, ...]], origin: str, state: dict[str, Tensor]
) -> Factory:
    """Return the factory with its layer, once its module has taken the weights and images of the right size."""
    inner = call_factory(wish.factory, wish.arguments)
    outputs = len(wish.labels) if len(wish.labels) > 1 else len(classes[wish.labels[0]])
    layer = wish.layer or default_layer(inner, outputs)
    if layer is None:
        raise BadInput(
            f"without --layer the model must have a linear layer with {outputs} outputs, one for each class",
            received="none",
            remedy="name the layer to take features at (see model.named_modules()), or check --argument and --label",
        )
    factory = Factory(layer, wish.side if wish.layer else "input", wish.arguments, origin)
    card = ModelCard(wish.factory, wish.labels, classes, wish.image_size, wish.mean, wish.std, factory)
    model = WrappedClassifier(inner, card)
    try:
        inner.load_state_dict(state)
    except RuntimeError as error:
        raise BadInput(
            f"the weights must be those of the module that {wish.factory} builds",
            received=" ".join(str(error).split())[:200],
            remedy="give the factory, its --argument values and the weights that belong together",
        ) from error
    check_classifier(model)
    return factory


def _check_untouched(standing: dict[Path, bytes]) -> None:
    other = [str(path) for path, content in standing.items() if not path.is_file() or path.read_bytes() != content]
    if other:
        more = f" and {len(other) - MAX_LISTED} more" if len(other) > MAX_LISTED else ""
        raise BadInput(
            "init never changes a file that is there",
            received=f"{', '.join(other[:MAX_LISTED])}{more} with other content",
            remedy="if you changed them since init, there is nothing to do; else give another --folder",
        )
