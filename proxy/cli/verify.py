"""`verify`: reads every blob again, beside a running server too."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import click

from proxy.cli.findings import as_object, describe
from proxy.cli.options import FAILED, config_option, data_dir_option, json_option, read_config, told_errors
from proxy.cli.progress import in_progress
from proxy.compose import compose_verifier
from proxy.ports import PREFIXES
from proxy.services.findings import Fault
from proxy.services.verify import Verified

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from proxy.config import Config
    from proxy.services.findings import Finding

_TO_DO = {
    Fault.BAD_PUBLISHED: "run `verify --repair` to put its bytes aside",
    Fault.MISSING_PUBLISHED: (
        "copy blobs/{0}/{1} out of a backup, or `pypi-sidecar delete` the file and upload it again"
    ),
    Fault.BAD_CACHED: "run `verify --repair` to drop it",
    Fault.MISSING_CACHED: "run `verify --repair` to forget it",
}
_DONE = {
    Fault.BAD_PUBLISHED: f"put aside in quarantine/; {_TO_DO[Fault.MISSING_PUBLISHED]}",
    Fault.BAD_CACHED: "dropped; it is fetched again on demand",
    Fault.MISSING_CACHED: "forgotten; it is fetched again on demand",
}


@click.command()
@click.option("--repair", is_flag=True, help="Drop bad cached files, and put bad published ones aside.")
@config_option
@data_dir_option
@json_option
def verify(config_path: Path | None, data_dir: Path | None, *, repair: bool, as_json: bool) -> None:
    """Compare every stored file with its digest. Exit status 1 means that something was wrong."""
    config = read_config(config_path, data_dir=data_dir)
    with told_errors():
        verified = asyncio.run(_verify(config, repair=repair, quiet=as_json))
    _report(config, verified, as_json=as_json)
    if verified.findings:
        sys.exit(FAILED)


async def _verify(config: Config, *, repair: bool, quiet: bool) -> Verified:
    async with compose_verifier(config, repair=repair) as verifier:
        done = [await verifier.verify(prefix) for prefix in in_progress(PREFIXES, "verifying", quiet=quiet)]
    return _sum(done)


def _sum(done: Sequence[Verified]) -> Verified:
    findings = tuple(finding for each in done for finding in each.findings)
    return Verified(sum(each.intact for each in done), sum(each.unreferenced for each in done), findings)


def _report(config: Config, verified: Verified, *, as_json: bool) -> None:
    intact, unreferenced, findings = verified
    registry = config.registry
    if as_json:
        told = [{**as_object(finding, registry), "repaired": finding.repaired} for finding in findings]
        click.echo(json.dumps({"intact": intact, "unreferenced": unreferenced, "findings": told}))
        return
    for finding in findings:
        click.echo(f"{describe(finding, registry)}: {_advice(finding)}")
    click.echo(f"{intact} intact ({unreferenced} of them unreferenced), {len(findings)} wrong")


def _advice(finding: Finding) -> str:
    """What was done about it, or what an operator does."""
    told = _DONE[finding.fault] if finding.repaired else _TO_DO[finding.fault]
    return told.format(finding.sha256[:2], finding.sha256[2:])
