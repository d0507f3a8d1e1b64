"""Tables without a fault -> the registry that decisions are made by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from yarl import URL

from proxy.config.inherit import Found, added_up, forwarding_of, lineage, nearest, visibility_of
from proxy.config.schema import TOP_ALLOW, TOP_MIN_AGE, TOP_MIN_AGE_EXEMPT, TOP_UPSTREAMS
from proxy.core.names import parent_path
from proxy.core.registry import Group, Project, Registry, Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from proxy.config.read import Tables
    from proxy.config.schema import ProjectTable, UpstreamTable
    from proxy.core.names import GroupPath

_OWN_FILE_HOSTS: Final = {"pypi.org": "files.pythonhosted.org"}


def resolve(tables: Tables, environ: Mapping[str, str], directory: Path) -> Registry:
    """`directory` is where relative paths begin. Raises KeyError for what `check` calls a fault."""
    groups = {path: _group(path, tables) for path in tables.groups}
    return Registry(
        groups.values(),
        [_project(path, table, groups) for path, table in tables.projects.items()],
        [_upstream(name, table, environ, directory) for name, table in tables.upstreams.items()],
        tables.forwarding.mode,
    )


def _group(path: GroupPath, tables: Tables) -> Group:
    line = lineage(path, tables.groups)
    table = tables.groups[path]
    visibility = visibility_of(line)
    forwarding = forwarding_of(line, tables.forwarding)
    upstreams = nearest(line, "upstreams", lambda above: above.upstreams, TOP_UPSTREAMS)
    reserved = added_up(line, "reserved", lambda above: above.reserved)
    allow = nearest(line, "allow", lambda above: above.allow, TOP_ALLOW)
    deny = added_up(line, "deny", lambda above: above.deny)
    min_age = nearest(line, "min_age", lambda above: above.min_age, TOP_MIN_AGE)
    exempt = nearest(line, "min_age_exempt", lambda above: above.min_age_exempt, TOP_MIN_AGE_EXEMPT)
    return Group(
        id=table.id,
        path=path,
        visibility=visibility.value,
        forwarding=forwarding.value,
        upstreams=upstreams.value,
        reserved=reserved.value,
        allow=allow.value,
        deny=deny.value,
        min_age=min_age.value,
        min_age_exempt=exempt.value,
        merge=table.merge,
        file_urls=table.file_urls,
        settings=_settings(
            visibility=visibility,
            forwarding=forwarding,
            upstreams=upstreams,
            reserved=reserved,
            allow=allow,
            deny=deny,
            min_age=min_age,
            min_age_exempt=exempt,
        ),
    )


def _settings(**found: Found[object]) -> dict[str, str]:
    return {key: each.setting for key, each in found.items() if each.setting}


def _project(path: GroupPath, table: ProjectTable, groups: Mapping[GroupPath, Group]) -> Project:
    group = groups[parent_path(path) or path]
    return Project(
        id=table.id,
        path=path,
        group=group.path,
        visibility=table.visibility or group.visibility,
        open_registry=table.open_registry,
        duplicates=table.duplicates,
        protection=table.protection,
    )


def _upstream(name: str, table: UpstreamTable, environ: Mapping[str, str], directory: Path) -> Upstream:
    own = _OWN_FILE_HOSTS.get(URL(table.url).host or "")
    return Upstream(
        name=name,
        url=table.url,
        file_hosts=tuple(dict.fromkeys((*table.file_hosts, *([own] if own else [])))),
        username=table.username,
        password=environ[table.password_env] if table.password_env else "",
        ca_file=str(directory / table.ca_file) if table.ca_file else "",
        connect_timeout=table.connect_timeout,
        page_timeout=table.page_timeout,
        read_timeout=table.read_timeout,
        max_connections=table.max_connections,
    )
