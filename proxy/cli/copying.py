"""What `backup` and `restore` share: copying all blobs, and the report of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from proxy.cli.findings import as_object, describe
from proxy.cli.progress import in_progress
from proxy.ports import PREFIXES
from proxy.services.backup import Copied

if TYPE_CHECKING:
    from proxy.core.registry import Registry
    from proxy.services.backup import Copier


async def copy_all(copier: Copier, label: str, *, quiet: bool) -> Copied:
    done = [await copier.copy(prefix) for prefix in in_progress(PREFIXES, label, quiet=quiet)]
    findings = tuple(finding for each in done for finding in each.findings)
    return Copied(sum(each.blobs for each in done), sum(each.size for each in done), findings)


def report(what: str, copied: Copied, registry: Registry, *, as_json: bool) -> None:
    blobs, size, findings = copied
    if as_json:
        told = [as_object(finding, registry) for finding in findings]
        click.echo(json.dumps({"blobs": blobs, "bytes": size, "findings": told}))
        return
    for finding in findings:
        click.echo(f"{describe(finding, registry)}: left out")
    click.echo(f"{what} {blobs} blobs of {size} bytes in all, {len(findings)} left out")
