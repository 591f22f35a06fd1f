"""``dlfd-ops init``: the pipeline in somebody else's repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.files import parse_yaml

if TYPE_CHECKING:
    from dlfd_ops.workflows.init import Initialised

SOURCES = ("manifest_csv", "image_folder", "mufac", "raf_db", "celeba", "utkface", "lfw")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Pair(click.ParamType[tuple[str, str]]):
    """``KEY=VALUE``."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split ``value`` at its first equals sign."""
        key, equals, rest = str(value).partition("=")
        if not (key and equals):
            self.fail("give KEY=VALUE", param, ctx)
        return key, rest


PAIR = _Pair()


@click.command()
@click.option("--name", required=True, help="Names the data set, its MLflow experiment and its registered model.")
@click.option("--factory", required=True, metavar="package.module:function", help="Function that builds your model.")
@click.option("--argument", "arguments", type=PAIR, multiple=True, help="KEY=VALUE for the factory; VALUE is YAML.")
@click.option("--weights", required=True, help="models:/NAME@ALIAS, models:/NAME/VERSION or a safetensors file.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the images.")
@click.option("--source", type=click.Choice(SOURCES), default="manifest_csv", show_default=True, help="Its layout.")
@click.option("--column", "columns", type=PAIR, multiple=True, help="OURS=YOURS: image, subject_id, split, sha256.")
@click.option("--label", "labels", multiple=True, required=True, help="What the model predicts.")
@click.option("--classes", type=PAIR, multiple=True, help="LABEL=a,b,c in the order of the model's outputs.")
@click.option("--image-size", type=click.IntRange(16, 512), required=True, help="Side of the model's input, in pixels.")
@click.option("--mean", type=float, nargs=3, default=IMAGENET_MEAN, show_default=True, help="For pixels in [0, 1].")
@click.option("--std", type=float, nargs=3, default=IMAGENET_STD, show_default=True, help="For pixels in [0, 1].")
@click.option("--layer", help="Where features are taken; without it, the last linear layer.")
@click.option("--side", type=click.Choice(["input", "output"]), default="output", show_default=True, help="Of --layer.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("dlfd"), show_default=True, help="To make.")
@click.option("--dry-run", is_flag=True, help="Check everything and show the files; write nothing.")
@json_option
def init(*, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Add the unlearning pipeline to the Git and DVC repository of your own model.

    Run it in the top folder. It writes one new folder and changes nothing else.
    """
    from dlfd_ops.workflows.init import Adoption
    from dlfd_ops.workflows.init import init as add_pipeline

    given["arguments"] = {key: _yaml(value) for key, value in given["arguments"]}
    given["columns"] = dict(given["columns"])
    given["classes"] = {label: tuple(map(str.strip, names.split(","))) for label, names in given["classes"]}
    done = add_pipeline(Adoption(**given), dry_run=dry_run)
    if as_json:
        echo_json(
            {
                "folder": str(done.folder),
                "origin": done.origin,
                "layer": done.layer,
                "side": done.side,
                "splits": done.splits,
                "new": [str(path) for path in done.new],
                "kept": [str(path) for path in done.kept],
                "dry_run": dry_run,
            }
        )
    elif dry_run:
        _show(done)
    else:
        _explain(done)


def _yaml(text: str) -> Any:
    try:
        value = parse_yaml(text.encode())
        json.dumps(value)
    except (TypeError, ValueError):
        raise click.BadParameter("give a number, a text, true, false or a list", param_hint="--argument") from None
    return value


def _show(done: Initialised) -> None:
    for path, content in done.new.items():
        click.echo(f"--- /dev/null\n+++ {path}")
        click.echo("".join(f"+{line}\n" for line in content.splitlines()), nl=False)
    click.echo(f"{len(done.new)} files to write, {len(done.kept)} stand already; nothing was written")


def _explain(done: Initialised) -> None:
    images = ", ".join(f"{count} {split}" for split, count in sorted(done.splits.items()))
    folder = done.folder
    click.echo(f"original  {done.origin}, features at the {done.side} of {done.layer}")
    click.echo(f"data      {images}")
    click.echo(f"files     {len(done.new)} written to {folder}/, {len(done.kept)} stood already; no other was changed")
    click.echo(
        f"""
The stages of {folder}/dvc.yaml, each with its section in {folder}/params.yaml:
  prepare      reads your images, and names people and photos by keyed hashes from here on
  train        takes your model as it is, after a check that it knows its training images
  forget_list  finds the training images of the open deletion requests
  unlearn      makes the model forget them
  evaluate     measures the model before and after
  register     registers both in MLflow, with lineage and the gate's decision
  audit        writes the compliance report

Next:
  echo '/mlflow.db*' >> .gitignore && echo '/mlartifacts/' >> .gitignore    # MLflow's store, if it is the embedded one
  git add {folder} .gitignore && git commit
  cd {folder}
  dlfd-ops request add --subject -     # type the subject id as it stands in your data, Enter, Ctrl-D
  dvc repro"""
    )
