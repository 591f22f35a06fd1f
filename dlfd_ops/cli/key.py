"""``dlfd-ops key``: the secret key that the keyed hashes are made with, and the key that signs certificates."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from dlfd_ops.audit.keyring import PUBLIC_KEYS, Keyring
from dlfd_ops.audit.ledger import LEDGER_FILE, Ledger
from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.data.identity import (
    KEY_ENVIRONMENT,
    KEY_FILE,
    KEY_ID_FILE,
    check_key_id,
    load_key,
    project_key,
    read_key_id,
)


@click.group()
def key() -> None:
    """The secret key behind the pseudonyms, and the key that signs certificates."""


@key.command()
@json_option
def show(as_json: bool) -> None:
    """Show the public ids of both keys and where they come from; never a key.

    Fails when this repository was made with another secret key.
    """
    secret = load_key()
    source = KEY_ENVIRONMENT if KEY_ENVIRONMENT in os.environ else str(KEY_FILE)
    published = KEY_ID_FILE.exists()
    if published:
        check_key_id(secret, read_key_id(), str(KEY_ID_FILE))
    keyring = Keyring(Path(), Ledger())
    current, public_keys = keyring.current(), sorted(keyring.public_keys())
    if as_json:
        signing = {"key_id": current, "source": keyring.source, "public_keys": public_keys}
        echo_json({"key_id": secret.key_id, "source": source, "published": published, "signing": signing})
        return
    click.echo("secret key of the pseudonyms")
    click.echo(f"  key id  {secret.key_id}")
    click.echo(f"  source  {source}")
    click.echo(f"  in use  {'yes, published in ' + str(KEY_ID_FILE) if published else 'not yet'}")
    click.echo("signing key of the certificates")
    click.echo(f"  key id  {current or 'none yet: the evaluate stage makes it'}")
    click.echo(f"  source  {keyring.source}")
    click.echo(f"  public  {len(public_keys)} in {PUBLIC_KEYS}")


@key.command()
@json_option
def create(as_json: bool) -> None:
    """Make the secret key of the pseudonyms and publish its id, where there is none yet.

    The first request does so as well; a team that prepares data and trains before anybody asks runs this.
    """
    made = project_key()
    if as_json:
        echo_json({"key_id": made.key_id})
        return
    click.echo(f"secret key {made.key_id}, published in {KEY_ID_FILE}; back up the key (docs/requests.md)")


@key.command()
@click.option(
    "--old-key",
    type=click.Path(path_type=Path),
    help="Private key in use, where the repository does not hold its file.",
)
@click.option("--lost", is_flag=True, help="The key in use is not at hand: go without its signature.")
@json_option
def rotate(old_key: Path | None, lost: bool, as_json: bool) -> None:
    """Replace the key that signs certificates; not the secret key of the pseudonyms.

    The old key signs its successor, and nothing more after that. What it signed before stays valid: the old public key
    stays in audit/keys.
    """
    rotation = Keyring(Path(), Ledger()).rotate(old_key=old_key, lost=lost)
    if as_json:
        echo_json(asdict(rotation))
        return
    click.echo(f"signing key  {rotation.key_id}")
    click.echo(
        f"replaces     {rotation.replaces}, {'which signed it' if rotation.endorsed else 'WITHOUT its signature'}"
    )
    click.echo(f"publish      git add {PUBLIC_KEYS} {LEDGER_FILE}; back up the new private key")
    if not rotation.endorsed:
        click.echo(
            "tell         whoever keeps the old key id: from the ledger alone nobody can know that this one is yours"
        )
