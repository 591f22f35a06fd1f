"""Modules that somebody else's code builds: ``package.module:function`` in the repository.

A card names the function, and cards travel with weights: through caches, remotes and registries. Were any function
callable, a forged card would run any command. So only code of the repository is called, which went through Git.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from dlfd_ops.errors import BadInput
from dlfd_ops.files import repository_top

FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""``package.module:function``."""


def call_factory(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return the module that a factory of the repository in the working directory builds.

    Args:
        name: ``package.module:function``, importable from the top folder of the repository.
        arguments: keyword arguments.

    Raises:
        BadInput: there is no such function in the repository, it fails, or it returns no ``torch.nn.Module``.
    """
    function = _find(name)
    try:
        module = function(**arguments)
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"the factory {name} must build the model",
            received=_said(error),
            remedy="correct the factory, or its arguments in train.factory.arguments",
        ) from error
    if not isinstance(module, nn.Module):
        raise BadInput(
            f"the factory {name} must return a torch.nn.Module",
            received=type(module).__name__,
            remedy="return the model itself",
        )
    return module


def factory_file(name: str) -> Path:
    """Return the Python file of a factory, absolute.

    Raises:
        BadInput: it is not in the repository of the working directory.
    """
    if FACTORY.fullmatch(name) is None:
        raise BadInput(
            "a factory must be named as package.module:function", received=f"{name!r:.80}", remedy="correct the name"
        )
    module, top = name.partition(":")[0], repository_top(Path())
    _make_importable(top)
    try:
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit) as error:  # the packages above the module are imported, and may fail in any way
        raise _not_importable(module, _said(error)) from error
    if spec is None or spec.origin is None:
        raise _not_importable(module, "no such module")
    return _in_repository(module, spec.origin, top)


def _find(name: str) -> Callable[..., object]:
    factory_file(name)
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function, None)
    except (Exception, SystemExit) as error:
        raise _not_importable(module, _said(error)) from error
    if not callable(found):
        raise BadInput(
            f"the module {module} must have the factory function", received=f"no {function}", remedy="correct the name"
        )
    home = str(getattr(found, "__module__", ""))
    _in_repository(home, getattr(sys.modules.get(home), "__file__", None), repository_top(Path()))
    return found  # type: ignore[no-any-return]


def _in_repository(module: str, origin: str | None, top: Path) -> Path:
    path = Path(origin).resolve() if origin else None
    if path is None or not path.is_relative_to(top) or "site-packages" in path.parts:
        raise BadInput(
            "a factory must be a function in a Python file of the repository",
            received=f"one of {module or 'no module'}, which lies elsewhere",
            remedy="write a function in the repository that calls it",
        )
    return path


def _make_importable(top: Path) -> None:
    # A launched stage has the folder of its launcher on the path, not the repository.
    if str(top) not in sys.path:
        sys.path.append(str(top))


def _not_importable(module: str, received: str) -> BadInput:
    return BadInput(
        f"the module {module} must be importable from the top folder of the repository",
        received=received,
        remedy="correct the name, or install what the module imports",
    )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:160]
