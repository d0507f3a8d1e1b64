"""GitLab's packages API as a client sees it, and the callers of its tests.

The projects: 1 `acme/tools` and 2 `acme/ml/models` are public, 3 `acme/secret` is private; the group `acme` is 1.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tests.web.uploads import form

if TYPE_CHECKING:
    from tests.builders import BuiltFile
    from tests.web.server import Answer, Server

OWNER = {"PRIVATE_TOKEN": "owner-secret"}
DEVELOPER = {"PRIVATE_TOKEN": "developer-secret"}
STRANGER = {"PRIVATE_TOKEN": "stranger-secret"}
DEPLOY = {"Deploy_Token": "deploy-secret"}

CONFIG = f"""
[server]
default_group = "acme"
default_project = "acme/tools"
[groups.acme]
id = 1
[groups."acme/ml"]
id = 2
[projects."acme/tools"]
id = 1
protection = [{{ pattern = "core-*", delete = "admin" }}]
[projects."acme/ml/models"]
id = 2
[projects."acme/secret"]
id = 3
visibility = "private"
[[tokens]]
name = "owner"
sha256 = "{sha256(b"owner-secret").hexdigest()}"
scopes = ["api"]
access = {{ "acme" = "owner" }}
[[tokens]]
name = "developer"
sha256 = "{sha256(b"developer-secret").hexdigest()}"
scopes = ["api"]
access = {{ "acme" = "developer" }}
[[tokens]]
name = "stranger"
sha256 = "{sha256(b"stranger-secret").hexdigest()}"
scopes = ["read_api"]
access = {{}}
[[tokens]]
name = "deploy"
kind = "deploy"
sha256 = "{sha256(b"deploy-secret").hexdigest()}"
scopes = ["read_package_registry", "write_package_registry"]
access = {{ "acme" = "developer" }}
"""

TOOLS, MODELS, SECRET = (f"/api/v4/projects/{number}/packages" for number in (1, 2, 3))
ACME = "/api/v4/groups/1/packages"


class Links(Struct, frozen=True):
    web_path: str
    delete_api_path: str | UnsetType = UNSET


class Version(Struct, frozen=True):
    id: int
    version: str
    created_at: str
    tags: list[str]
    pipelines: list[str]


class Package(Struct, frozen=True, rename={"links": "_links"}, forbid_unknown_fields=True):
    id: int
    name: str
    version: str
    package_type: str
    status: str
    links: Links
    created_at: str
    last_downloaded_at: str | None
    tags: list[str]
    pipelines: list[str]
    project_id: int | UnsetType = UNSET
    project_path: str | UnsetType = UNSET
    versions: list[Version] | UnsetType = UNSET


class PackageFile(Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    package_id: int
    created_at: str
    file_name: str
    size: int
    file_md5: str | None
    file_sha1: str | None
    file_sha256: str
    pipelines: list[str]


def packages_of(answer: Answer) -> list[Package]:
    """The list; it must be there."""
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json"), answer
    return msgspec.json.decode(answer.body, type=list[Package])


def package_of(answer: Answer) -> Package:
    assert answer.status == 200, answer
    return msgspec.json.decode(answer.body, type=Package)


def files_of(answer: Answer) -> list[PackageFile]:
    assert answer.status == 200, answer
    return msgspec.json.decode(answer.body, type=list[PackageFile])


def names(answer: Answer) -> list[str]:
    return [f"{package.name}=={package.version}" for package in packages_of(answer)]


async def publish_into(server: Server, api: str, *files: BuiltFile) -> None:
    """Upload as the owner into the project whose packages lie at `api`, under the name that the metadata spells."""
    for built in files:
        name = built.metadata.decode().partition("\nName: ")[2].partition("\n")[0]
        answer = await server.post(f"{api}/pypi", form(built, name=name), **OWNER)
        assert answer.status == 201, answer


async def first_id(server: Server, api: str) -> int:
    """The id of the oldest package there."""
    return packages_of(await server.get(api, **OWNER))[0].id
