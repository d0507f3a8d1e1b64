"""A server whose tokens hold every role, and the callers that GitLab's specs name.

Groups and projects: `open` (1) with `open/tools` (1), both public; `closed` (2) with `closed/tools` (2), both private,
and `closed/ajar` (3), private with an open registry. Nothing is forwarded.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    Headers: TypeAlias = dict[str, str]

GROUPS = """
[forwarding]
enabled = false
[groups.open]
id = 1
[groups.closed]
id = 2
visibility = "private"
[projects."open/tools"]
id = 1
[projects."closed/tools"]
id = 2
[projects."closed/ajar"]
id = 3
open_registry = true
"""


def token(name: str, kind: str, role: str | None, *scopes: str, expires: str = "") -> str:
    """The table of a token whose secret is its name; a `role` holds in both groups."""
    access = f'{{ open = "{role}", closed = "{role}" }}' if role else "{}"
    lines = [
        "[[tokens]]",
        f'name = "{name}"',
        f'kind = "{kind}"',
        f'sha256 = "{sha256(name.encode()).hexdigest()}"',
        f"scopes = [{', '.join(map(repr, scopes))}]",
        f"access = {access}",
    ]
    return "\n".join([*lines, f"expires = {expires}"] if expires else lines) + "\n"


PAST = "2020-01-01T00:00:00Z"
BOTH = ("read_package_registry", "write_package_registry")
CONFIG = GROUPS + "".join(
    [
        token("developer", "personal", "developer", "api"),
        token("guest", "personal", "guest", "api"),
        token("stranger", "personal", None, "api"),
        token("reader", "personal", "developer", "read_api"),
        token("bare", "personal", "developer"),
        token("expired", "personal", "developer", "api", expires=PAST),
        token("deploy", "deploy", "developer", *BOTH),
        token("deploy-reader", "deploy", "developer", "read_package_registry"),
        token("deploy-expired", "deploy", "developer", *BOTH, expires=PAST),
        token("job", "job", "developer", "api"),
        token("job-reader", "job", "developer", "read_api"),
        token("job-expired", "job", "developer", "api", expires=PAST),
    ]
)


def basic(username: str, password: str, charset: str = "utf-8") -> Headers:
    return {"Authorization": f"Basic {b64encode(f'{username}:{password}'.encode(charset)).decode()}"}


def job(secret: str, username: str = "gitlab-ci-token") -> Headers:
    return basic(username, secret)


def bearer(secret: str) -> Headers:
    return {"Authorization": f"Bearer {secret}"}


def private_token(secret: str) -> Headers:
    return {"PRIVATE-TOKEN": secret}


def deploy_token(secret: str) -> Headers:
    return {"Deploy-Token": secret}


NOBODY: Headers = {}
DEVELOPER = basic("__token__", "developer")
