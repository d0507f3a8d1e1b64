"""The config: found, read once, checked as a whole, and frozen."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from proxy.config.check import check
from proxy.config.faults import Fault, quoted
from proxy.config.read import Tables, read_tables
from proxy.config.resolve import resolve
from proxy.config.tokens import ConfigToken, resolve_tokens
from proxy.core.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.config.schema import Access, Cache, Forwarding, Log, Server
    from proxy.core.registry import Registry

VARIABLE: Final = "PYPI_SIDECAR_CONFIG"
DEFAULT_PATH: Final = Path("config.toml")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that was configured, parsed. `source` is the file, None for the built-in defaults."""

    source: Path | None
    server: Server
    access: Access
    forwarding: Forwarding
    cache: Cache
    log: Log
    registry: Registry
    tokens: tuple[ConfigToken, ...]
    tables: Tables = field(repr=False)


def load_config(
    path: Path | None, environ: Mapping[str, str], *, server: Mapping[str, object] = MappingProxyType({})
) -> Config:
    """The config of `path`, else of $PYPI_SIDECAR_CONFIG, else of ./config.toml, else the built-in defaults.

    `server` stands in for keys of `[server]` (the command line's options, their paths absolute). Relative paths in a
    file begin at its directory. Raises InvalidConfig with every fault.
    """
    source, document = _read_first(path, environ)
    directory = source.absolute().parent if source else Path.cwd()
    tables, faults = read_tables(_overridden(document, server))
    faults += check(tables, environ, directory)
    if faults:
        raise InvalidConfig([str(fault) for fault in faults])
    return Config(
        source=source,
        server=replace(tables.server, data_dir=directory / tables.server.data_dir),
        access=tables.access,
        forwarding=tables.forwarding,
        cache=tables.cache,
        log=tables.log,
        registry=resolve(tables, environ, directory),
        tokens=resolve_tokens(tables.tokens.values(), environ),
        tables=tables,
    )


def _read_first(path: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, object]]:
    """Only the last place to look may be empty."""
    if path is None and environ.get(VARIABLE):
        path = Path(environ[VARIABLE])
    if path is not None:
        return path, _read(path)
    try:
        DEFAULT_PATH.lstat()
    except FileNotFoundError:
        return None, {}
    except OSError as error:
        raise _unreadable(DEFAULT_PATH, error) from error
    return DEFAULT_PATH, _read(DEFAULT_PATH)


def _read(path: Path) -> dict[str, object]:
    try:
        text = path.read_bytes().decode()
        return tomllib.loads(f"{text}\n")  # an error in the last line is told by its number too
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise _invalid(path, f"not UTF-8 at byte {error.start}; expected a TOML file") from error
    except ValueError as error:
        raise _invalid(path, f"not valid TOML: {error}; expected a file like config.example.toml") from error


def _unreadable(path: Path, error: OSError) -> InvalidConfig:
    return _invalid(path, f"cannot be read ({error.strerror}); expected a TOML file")


def _invalid(path: Path, what: str) -> InvalidConfig:
    return InvalidConfig([str(Fault(quoted(str(path)), what))])


def _overridden(document: Mapping[str, object], server: Mapping[str, object]) -> Mapping[str, object]:
    written = document.get("server", {})
    if not server or not isinstance(written, dict):
        return document
    return {**document, "server": {**written, **server}}
