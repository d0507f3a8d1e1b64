"""Pages and files of the real PyPI, fetched once into a cache directory.

pages/NAME.json          the page, links and all as PyPI sent it
jupyterlab/pins.txt      a locked set
files/packages/...       its wheels and their metadata, at the paths that PyPI's links have
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from tests.bench.processes import NotAvailable
from tests.e2e.harness import clean_env
from tests.e2e.wire import JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PAGES: Final = ("six", "requests", "boto3", "ddtrace")
FILE_HOST: Final = "https://files.pythonhosted.org/"
_INDEX: Final = "https://pypi.org/simple/"
_TIMEOUT: Final = 60
_AT_ONCE: Final = 8


class Wheel(NamedTuple):
    """A file of the set: where PyPI has it."""

    url: str
    sha256: str
    has_metadata: bool


class Recording:
    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say

    @property
    def files(self) -> Path:
        """`packages/...` below it."""
        return self._folder / "files"

    def page(self, name: str) -> bytes:
        """A page's JSON as PyPI has it, or had it at the first run."""
        return self._keep(self._folder / "pages" / f"{name}.json", f"{_INDEX}{name}/")

    def pins(self) -> Path:
        """jupyterlab and all that it needs, one `name==version` a line."""
        path = self._folder / "jupyterlab" / "pins.txt"
        if not path.exists():
            self._say("resolving jupyterlab")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_resolve("jupyterlab"))
        return path

    def pinned_names(self) -> list[str]:
        return [str(canonicalize_name(line.partition("==")[0])) for line in self.pins().read_text().splitlines()]

    def fetch_wheels(self) -> None:
        """All wheels of the set are there, with their metadata."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._fetch_wheel, self.pins().read_text().splitlines()))

    def _fetch_wheel(self, pin: str) -> None:
        name, _, version = pin.partition("==")
        wheel = choose_wheel(json.loads(self.page(canonicalize_name(name))), Version(version))
        path = self.files / urlsplit(wheel.url).path.lstrip("/")
        data = self._keep(path, wheel.url)
        if hashlib.sha256(data).hexdigest() != wheel.sha256:
            path.unlink()
            raise NotAvailable(f"{wheel.url} came with another digest than its page says")
        if wheel.has_metadata:
            self._keep(path.with_name(f"{path.name}.metadata"), f"{wheel.url}.metadata")

    def _keep(self, path: Path, url: str) -> bytes:
        if not path.exists():
            self._say(f"recording {url}")
            data = _fetch(url)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.partial")
            partial.write_bytes(data)
            partial.rename(path)
        return path.read_bytes()


def choose_wheel(page: Mapping[str, object], version: Version) -> Wheel:
    """The file that an installer on this machine takes; raises LookupError."""
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    fits: list[tuple[int, Wheel]] = []
    for file in _wheels(page):
        _, found, _, tags = parse_wheel_filename(str(file["filename"]))
        known = [ranks[tag] for tag in tags if tag in ranks]
        if found == version and known:
            fits.append((min(known), _to_wheel(file)))
    if not fits:
        raise LookupError(f"no wheel of {page.get('name')} {version} fits this machine")
    return min(fits)[1]


def _wheels(page: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    files = page["files"]
    assert isinstance(files, list)
    return [file for file in files if str(file["filename"]).endswith(".whl")]


def _to_wheel(file: Mapping[str, object]) -> Wheel:
    hashes = file["hashes"]
    assert isinstance(hashes, dict)
    return Wheel(str(file["url"]), str(hashes["sha256"]), bool(file.get("core-metadata")))


def _resolve(name: str) -> str:
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--python", sys.executable, "--no-config"]
    options = ["--only-binary", ":all:", "--no-header", "--no-annotate", "--quiet", "--default-index", _INDEX]
    ended = subprocess.run(
        [*command, *options], input=name, env=clean_env(), capture_output=True, text=True, timeout=120, check=False
    )
    if ended.returncode:
        raise NotAvailable(f"jupyterlab cannot be resolved: {ended.stderr.strip()[-200:]}")
    return ended.stdout


def _fetch(url: str) -> bytes:
    """Raises NotAvailable."""
    request = urllib.request.Request(url, headers={"Accept": f"{JSON}, */*;q=0.1"})  # noqa: S310 - https alone
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            return bytes(answer.read())
    except OSError as error:
        raise NotAvailable(f"{url} cannot be recorded: {error}") from error
