"""`token create`, `token list` and `token revoke`: beside a running server, or before there was one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

import click

from proxy.cli.arguments import GrantArgument, ParsedArgument, check_paths
from proxy.cli.options import config_option, data_dir_option, json_option, read_config, told_errors
from proxy.cli.token_table import json_of, table_of
from proxy.compose import SystemClock, compose_store, configured_tokens
from proxy.config import parse
from proxy.core.access import Kind, Principal, Scope
from proxy.services.issue import Issuer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from proxy.config import Config
    from proxy.config.units import Duration
    from proxy.core.access import Role
    from proxy.core.names import GroupPath

T = TypeVar("T")
_KINDS = [kind.value for kind in Kind if kind is not Kind.ANONYMOUS]
_SCOPES = [scope.value for scope in Scope]


class Wanted(TypedDict):
    """The options that say what a token is to be."""

    name: str
    kind: str
    username: str
    scopes: tuple[str, ...]
    access: tuple[tuple[GroupPath, Role], ...]
    lifetime: Duration | None


@click.group()
def token() -> None:
    """Make, list and revoke tokens."""


@token.command()
@click.option("--name", required=True, type=ParsedArgument("NAME", parse.label), help="What it is called here.")
@click.option("--kind", type=click.Choice(_KINDS), default=Kind.PERSONAL.value, show_default=True, help="Who uses it.")
@click.option("--username", type=ParsedArgument("USERNAME", parse.login), default="", help="Shown as the publisher.")
@click.option("--scope", "scopes", required=True, multiple=True, type=click.Choice(_SCOPES), help="May be repeated.")
@click.option("--access", required=True, multiple=True, type=GrantArgument(), help="A role by path; may be repeated.")
@click.option("--expires", "lifetime", type=ParsedArgument("DURATION", parse.timeout), help="Such as 30d; else never.")
@config_option
@data_dir_option
@json_option
def create(config_path: Path | None, data_dir: Path | None, *, as_json: bool, **wanted: Unpack[Wanted]) -> None:
    """Make a token and print its secret, which is shown this once and kept nowhere."""
    config = read_config(config_path, data_dir=data_dir)
    principal = _principal(config, wanted)
    secret = _run(config, lambda issuer: issuer.create(principal, wanted["lifetime"]), create=True)
    if as_json:
        click.echo(json.dumps({"name": principal.name, "secret": secret}))
        return
    click.echo(f"The secret of {principal.name}, which is not shown again:", err=True)
    click.echo(secret)


@token.command("list")
@config_option
@data_dir_option
@json_option
def list_(config_path: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """List the tokens in use: the config's, and those made by command."""
    config = read_config(config_path, data_dir=data_dir)
    tokens = [*configured_tokens(config), *_run(config, lambda issuer: issuer.list())]
    now = SystemClock().now()
    click.echo(json.dumps(json_of(tokens, now), indent=2) if as_json else table_of(tokens, now))


@token.command()
@click.argument("name")
@config_option
@data_dir_option
def revoke(name: str, config_path: Path | None, data_dir: Path | None) -> None:
    """End the token NAME at once, in a running server too."""
    config = read_config(config_path, data_dir=data_dir)
    _run(config, lambda issuer: issuer.revoke(name))
    click.echo(f"{name} is revoked")


def _principal(config: Config, wanted: Wanted) -> Principal:
    grants = dict(wanted["access"])
    if len(grants) < len(wanted["access"]):
        raise click.UsageError("--access names a path twice")
    check_paths(config.registry, grants)
    return Principal(
        Kind(wanted["kind"]), wanted["name"], wanted["username"], frozenset(map(Scope, wanted["scopes"])), grants
    )


def _run(config: Config, act: Callable[[Issuer], Awaitable[T]], *, create: bool = False) -> T:
    configured = frozenset(each.name for each in config.tokens)

    async def run() -> T:
        async with compose_store(config, create=create) as store:
            return await act(Issuer(store, SystemClock(), configured))

    with told_errors():
        return asyncio.run(run())
