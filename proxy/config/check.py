"""Faults between tables: what each table alone cannot tell."""

from __future__ import annotations

import ssl
from itertools import chain
from typing import TYPE_CHECKING

from proxy.config.faults import Fault, entry_in, key_in, quoted, suggestion
from proxy.config.inherit import lineage, visibility_of
from proxy.config.tokens import digest_of
from proxy.core.names import parent_path
from proxy.core.registry import ForwardingMode, Visibility

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from proxy.config.read import Tables
    from proxy.config.schema import GroupTable, TokenTable
    from proxy.core.digests import Sha256
    from proxy.core.names import GroupPath


def check(tables: Tables, environ: Mapping[str, str], directory: Path) -> list[Fault]:
    """All faults between tables, the environment and the files that the config names (relative to `directory`)."""
    found = chain(
        _upstreams(tables, environ, directory),
        _nesting(tables),
        _group_upstreams(tables),
        _redirected_rules(tables),
        _reach(tables),
        _projects(tables),
        _repeated((entry_in("groups", path), "id", table.id) for path, table in tables.groups.items()),
        _repeated((entry_in("projects", path), "id", table.id) for path, table in tables.projects.items()),
        _tokens(tables, environ),
    )
    return list(found)


def _upstreams(tables: Tables, environ: Mapping[str, str], directory: Path) -> Iterator[Fault]:
    for name, table in tables.upstreams.items():
        place = key_in("upstreams", name)
        if table.password_env is not None:
            yield from _variable(f"{place}.password_env", table.password_env, environ)
            if not table.username:
                yield Fault(f"{place}.username", "is missing; expected the user name that the password belongs to")
        if table.ca_file is not None:
            yield from _certificates(f"{place}.ca_file", directory / table.ca_file)


def _variable(place: str, name: str, environ: Mapping[str, str]) -> Iterator[Fault]:
    if name and not environ.get(name):
        yield Fault(place, f"the environment variable {name} is not set; expected a secret in it")


def _certificates(place: str, file: Path) -> Iterator[Fault]:
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # SSLError is one
        yield Fault(
            place, f"{quoted(str(file))} cannot be read ({error.strerror}); expected a file of PEM certificates"
        )


def _nesting(tables: Tables) -> Iterator[Fault]:
    for path, table in tables.groups.items():
        place = entry_in("groups", path)
        parent = parent_path(path)
        if parent is None:
            continue
        if parent not in tables.groups:
            yield Fault(place, f"its parent is not a group here; expected a table [{entry_in('groups', parent)}]")
        yield from _more_visible(tables, place, table.visibility, parent)


def _projects(tables: Tables) -> Iterator[Fault]:
    for path, table in tables.projects.items():
        place = entry_in("projects", path)
        group = parent_path(path)
        if group not in tables.groups:
            yield Fault(place, f"unknown group {quoted(group or '')}; {suggestion(group or '', tables.groups)}")
        if path in tables.groups:
            yield Fault(place, "a group has this path too; expected a path of its own")
        yield from _more_visible(tables, place, table.visibility, group)


def _more_visible(
    tables: Tables, place: str, visibility: Visibility | None, parent: GroupPath | None
) -> Iterator[Fault]:
    if parent is None or visibility is not Visibility.PUBLIC:
        return
    above = visibility_of(lineage(parent, tables.groups))
    if above.value is Visibility.PRIVATE:
        yield Fault(
            f"{place}.visibility", f'"public" is more visible than its group ({above.setting}); expected "private"'
        )


def _group_upstreams(tables: Tables) -> Iterator[Fault]:
    for path, table in tables.groups.items():
        for name in table.upstreams or ():
            if name not in tables.upstreams:
                place = f"{entry_in('groups', path)}.upstreams"
                yield Fault(place, f"unknown upstream {quoted(name)}; {suggestion(name, tables.upstreams)}")


def _redirected_rules(tables: Tables) -> Iterator[Fault]:
    if tables.forwarding.mode is not ForwardingMode.REDIRECT:
        return
    for path, table in tables.groups.items():
        for key in _rules_on_files(table):
            place = f"{entry_in('groups', path)}.{key}"
            yield Fault(place, 'cannot be kept by a redirect; expected forwarding.mode = "stream", or no such rule')


def _rules_on_files(table: GroupTable) -> Iterator[str]:
    if table.min_age:
        yield "min_age"
    if table.merge:
        yield "merge"
    for key, rules in (("allow", table.allow or ()), ("deny", table.deny)):
        if any(rule.versions is not None for rule in rules):
            yield key


def _reach(tables: Tables) -> Iterator[Fault]:
    for path in tables.groups:
        if not any(project.startswith(f"{path}/") for project in tables.projects):
            example = entry_in("projects", f"{path}/packages")
            yield Fault(entry_in("groups", path), f"no project is in it; expected one, such as [{example}]")


def _repeated(found: Iterable[tuple[str, str, object]]) -> Iterator[Fault]:
    """`found` are (table, key, value); values that are false stand for none."""
    first: dict[object, str] = {}
    for table, key, value in found:
        if value and first.setdefault(value, table) != table:
            yield Fault(f"{table}.{key}", f"{first[value]} has the same; expected one of its own")


def _tokens(tables: Tables, environ: Mapping[str, str]) -> Iterator[Fault]:
    for place, token in tables.tokens.items():
        yield from _secret(place, token, environ)
        for path in token.access:
            if path not in tables.groups and path not in tables.projects:
                known = [*tables.groups, *tables.projects]
                yield Fault(entry_in(f"{place}.access", path), f"unknown path; {suggestion(path, known)}")
    yield from _repeated((place, "name", token.name) for place, token in tables.tokens.items())
    yield from _repeated((place, *_secret_of(token, environ)) for place, token in tables.tokens.items())


def _secret(place: str, token: TokenTable, environ: Mapping[str, str]) -> Iterator[Fault]:
    if (token.sha256 is None) == (token.secret_env is None):
        what = "has no secret" if token.sha256 is None else "has two secrets"
        yield Fault(place, f"{what}; expected either sha256 or secret_env")
    if token.secret_env is not None:
        yield from _variable(f"{place}.secret_env", token.secret_env, environ)


def _secret_of(token: TokenTable, environ: Mapping[str, str]) -> tuple[str, Sha256 | None]:
    return "sha256" if token.sha256 else "secret_env", digest_of(token, environ)
