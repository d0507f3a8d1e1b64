"""Findings among blobs as they are reported: lines for people, objects for `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.registry import Registry
    from proxy.ports import PublishedBlob
    from proxy.services.findings import Finding


def describe(finding: Finding, registry: Registry) -> str:
    """Which blob, and what is wrong with it: `bad-published default/packages demo/demo-1.0.tar.gz`."""
    if finding.file is None:
        return f"{finding.fault} {finding.sha256}"
    return f"{finding.fault} {_project(finding.file, registry)} {finding.file.name}/{finding.file.filename}"


def as_object(finding: Finding, registry: Registry) -> Mapping[str, object]:
    """Without `repaired`, which not every command has to tell."""
    named: dict[str, object] = {"fault": finding.fault, "sha256": finding.sha256}
    if file := finding.file:
        named |= {"project": _project(file, registry), "name": file.name, "filename": file.filename}
    return named


def _project(file: PublishedBlob, registry: Registry) -> str:
    """The project's path; its number where the config has it no more."""
    paths = {project.id: project.path for project in registry.projects}
    return paths.get(file.project_id, str(file.project_id))
