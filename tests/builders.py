"""Real distributions, made in memory: pip and uv install them, twice the same call gives the same bytes.

    built = build_wheel("Demo_Pkg", "1.0", requires_dist=["six>=1.16"])
    built.filename   # "demo_pkg-1.0-py3-none-any.whl"
    built.metadata   # the bytes of its METADATA, as `{url}.metadata` must answer them

A wheel is the binary distribution format's archive; an sdist is PEP 643's (static metadata 2.2 or later) named by
PEP 625. The sdist carries the wheel it would build and a backend of a few lines (PEP 517, in the tree), so
installing it needs no network and no build tool.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

METADATA_VERSION = "2.3"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

_PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

_BACKEND = '''\
"""A build backend whose product lies beside it."""

import shutil
from pathlib import Path

WHEEL = {wheel!r}


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    shutil.copy(Path(__file__).with_name(WHEEL), wheel_directory)
    return WHEEL
'''


@dataclass(frozen=True)
class BuiltFile:
    """A distribution in memory. `metadata` is its METADATA or PKG-INFO, byte for byte."""

    filename: str
    data: bytes = field(repr=False)
    sha256: str
    metadata: bytes = field(repr=False)


def build_wheel(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    requires_dist: Iterable[str] = (),
    metadata_lines: Iterable[str] = (),
    description: str = "",
    modules: Mapping[str, str] | None = None,
    tag: str = "py3-none-any",
    size_padding: int = 0,
    extra_members: Mapping[str, bytes] | None = None,
) -> BuiltFile:
    """A wheel with METADATA, WHEEL and RECORD in order.

    `modules` maps paths (`"demo/__init__.py"`) to source; by default one module named as the project.
    `metadata_lines` are further headers (`"License-Expression: MIT"`). `size_padding` adds about that many bytes
    that do not compress. `extra_members` are added last and may be anything.
    """
    stem = f"{_escaped(name)}-{Version(version)}"
    info = f"{stem}.dist-info"
    metadata = build_metadata(
        name,
        version,
        requires_python=requires_python,
        requires_dist=requires_dist,
        metadata_lines=metadata_lines,
        description=description,
    )
    members = _sources(name, version, modules)
    if size_padding:
        members[f"{_escaped(name)}_padding.bin"] = _noise(stem, size_padding)
    members |= {f"{info}/METADATA": metadata, f"{info}/WHEEL": _wheel_header(tag)}
    members |= extra_members or {}
    members[f"{info}/RECORD"] = _record(members, info)
    return _built(f"{stem}-{tag}.whl", _zipped(members), metadata)


def build_sdist(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    requires_dist: Iterable[str] = (),
    metadata_lines: Iterable[str] = (),
    description: str = "",
    modules: Mapping[str, str] | None = None,
    size_padding: int = 0,
    extra_members: Mapping[str, bytes] | None = None,
) -> BuiltFile:
    """A `.tar.gz` with PKG-INFO, pyproject.toml, its sources and the wheel its own backend hands out.

    The arguments are `build_wheel`'s; `extra_members` are paths below the sdist's one top directory.
    """
    wheel = build_wheel(
        name,
        version,
        requires_python=requires_python,
        requires_dist=requires_dist,
        metadata_lines=metadata_lines,
        description=description,
        modules=modules,
    )
    stem = f"{_escaped(name)}-{Version(version)}"
    members = _sources(name, version, modules)
    members |= {
        "PKG-INFO": wheel.metadata,
        "pyproject.toml": _PYPROJECT.encode(),
        "backend.py": _BACKEND.format(wheel=wheel.filename).encode(),
        wheel.filename: wheel.data,
    }
    if size_padding:
        members["padding.bin"] = _noise(stem, size_padding)
    members |= extra_members or {}
    archive = _tarred({f"{stem}/{path}": data for path, data in members.items()})
    return _built(f"{stem}.tar.gz", archive, wheel.metadata)


def build_metadata(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    requires_dist: Iterable[str] = (),
    metadata_lines: Iterable[str] = (),
    description: str = "",
) -> bytes:
    """Core metadata. `name` and `version` are written as given, so that they may differ from a filename's."""
    lines = [f"Metadata-Version: {METADATA_VERSION}", f"Name: {name}", f"Version: {version}"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires_dist]
    lines += metadata_lines
    return ("\n".join(lines) + f"\n\n{description}").encode()


def _escaped(name: str) -> str:
    return canonicalize_name(name).replace("-", "_")


def _sources(name: str, version: str, modules: Mapping[str, str] | None) -> dict[str, bytes]:
    if modules is None:
        modules = {f"{_escaped(name)}.py": f"__version__ = {version!r}\n"}
    return {path: source.encode() for path, source in modules.items()}


def _noise(seed: str, size: int) -> bytes:
    """`size` bytes that look random and are the same every time."""
    return hashlib.shake_128(seed.encode()).digest(size)


def _wheel_header(tag: str) -> bytes:
    """The WHEEL file; a compressed tag set (`py2.py3-none-any`) becomes one Tag line a tag, as PEP 425 says."""
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    tags = [f"{p}-{a}-{m}" for p in pythons for a in abis for m in platforms]
    pure = "true" if platforms == ["any"] else "false"
    lines = ["Wheel-Version: 1.0", "Generator: builders", f"Root-Is-Purelib: {pure}", *(f"Tag: {t}" for t in tags)]
    return ("\n".join(lines) + "\n").encode()


def _record(members: Mapping[str, bytes], info: str) -> bytes:
    rows = [f"{path},sha256={_record_hash(data)},{len(data)}" for path, data in members.items()]
    return "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            entry = zipfile.ZipInfo(path, _ZIP_EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_STORED if path.endswith(".bin") else zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _tarred(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in members.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), compresslevel=6, mtime=0)


def _built(filename: str, data: bytes, metadata: bytes) -> BuiltFile:
    return BuiltFile(filename, data, hashlib.sha256(data).hexdigest(), metadata)
