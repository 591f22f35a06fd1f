"""``dlfd-ops key``: the secret key that the keyed hashes are made with."""

from __future__ import annotations

import os

import click

from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.data.identity import KEY_ENVIRONMENT, KEY_FILE, KEY_ID_FILE, check_key_id, load_key, read_key_id


@click.group()
def key() -> None:
    """The secret key behind the pseudonyms."""


@key.command()
@json_option
def show(as_json: bool) -> None:
    """Show the key's public id and where the key comes from; never the key.

    Fails when this repository was made with another key.
    """
    secret = load_key()
    source = KEY_ENVIRONMENT if KEY_ENVIRONMENT in os.environ else str(KEY_FILE)
    published = KEY_ID_FILE.exists()
    if published:
        check_key_id(secret, read_key_id(), str(KEY_ID_FILE))
    if as_json:
        echo_json({"key_id": secret.key_id, "source": source, "published": published})
        return
    click.echo(f"key id  {secret.key_id}")
    click.echo(f"source  {source}")
    click.echo(f"in use  {'yes, published in ' + str(KEY_ID_FILE) if published else 'not yet'}")
