"""Which file of a page an installer takes, and how pages become this site's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from tests.bench.machine import cpu_model, pinned_versions
from tests.bench.recording import choose_wheel
from tests.bench.site import MadeFile, Site, write_bodies

if TYPE_CHECKING:
    from pathlib import Path


def _file(filename: str) -> dict[str, object]:
    return {"filename": filename, "url": f"https://files/{filename}", "hashes": {"sha256": filename}}


PAGE = {
    "name": "x",
    "files": [
        _file("x-1.0.tar.gz"),
        _file("x-1.0-py3-none-any.whl"),
        _file("x-1.0-cp311-cp311-win_amd64.whl"),
        _file("x-2.0-cp27-cp27m-win32.whl"),
    ],
}


def test_the_wheel_of_the_version_that_fits_this_machine() -> None:
    assert choose_wheel(PAGE, Version("1.0")).url == "https://files/x-1.0-py3-none-any.whl"


def test_no_wheel_that_fits_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"x 2\.0"):
        choose_wheel(PAGE, Version("2.0"))


def test_a_recorded_page_links_to_the_site(tmp_path: Path) -> None:
    Site(tmp_path, "http://here/files/").add_page("x", b'{"url":"https://files.pythonhosted.org/packages/a/x.whl"}')
    assert (tmp_path / "simple/x/index.json").read_bytes() == b'{"url":"http://here/files/packages/a/x.whl"}'


def test_made_files_are_listed_with_their_size(tmp_path: Path) -> None:
    made = MadeFile("a-b", "a_b-1.0-py3-none-any.whl", 1_500_000)
    write_bodies(tmp_path / "made", [made])
    Site(tmp_path, "/files/", packed=True).add_made([made], tmp_path / "made")
    (file,) = json.loads((tmp_path / "simple/a-b/index.json").read_text())["files"]
    assert (file["url"], file["size"]) == ("/files/bench/a_b-1.0-py3-none-any.whl", 1_500_000)
    assert (tmp_path / "made" / made.filename).stat().st_size == 1_500_000


def test_machine_facts() -> None:
    assert cpu_model("processor : 0\nmodel name\t: Fast (R) 9\nmodel name\t: other\n") == "Fast (R) 9"
    assert pinned_versions("# note\naiohttp==3.1\nattrs==1\n") == {"aiohttp": "3.1"}
