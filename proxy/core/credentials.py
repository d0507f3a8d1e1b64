"""Whose credentials a request bears, in GitLab's order of looking and with its answers to wrong ones.

| form | takes | a wrong one |
|---|---|---|
| Basic, any user name | deploy, personal | is an anonymous caller |
| Basic, `gitlab-ci-token` | job, and the above | is 401 |
| `Bearer` | deploy, job, personal | is 401 |
| `PRIVATE-TOKEN`, `?private_token=` | personal | is 401 |
| `Deploy-Token` | deploy | is an anonymous caller |

A personal token that was expired or revoked is told so with 401; a deploy or job token then is one that is not known.
Sources: GitLab `lib/gitlab/auth/auth_finders.rb`, `lib/api/api_guard.rb`; `JOB-TOKEN` is not read on these routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.core.access import Kind
from proxy.core.errors import InvalidToken, Unauthorized
from proxy.core.tokens import Standing

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import TypeAlias

    from proxy.core.access import Principal
    from proxy.core.tokens import Token

    FindToken: TypeAlias = Callable[[str], Token | None]

JOB_USERNAME: Final = "gitlab-ci-token"

_INVALID: Final = {
    Standing.EXPIRED: "Token is expired. You can either do re-authorization or token refresh.",
    Standing.REVOKED: "Token was revoked. You have to re-authorize from the user.",
}


class Basic(NamedTuple):
    username: str
    password: str


class Credentials(NamedTuple):
    """What a request bears; what it does not is empty. `private` is `?private_token=`, else `PRIVATE-TOKEN`."""

    basic: Basic = Basic("", "")
    bearer: str = ""
    private: str = ""
    deploy: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may be a token's secret; none where the request bears no credentials."""
        given = (self.basic.password, self.bearer, self.private, self.deploy)
        return tuple(secret for secret in given if secret)


class Identity(NamedTuple):
    """Who was recognised (None: nobody), what must be answered whatever was asked for, and whether it was a guess:
    nobody was recognised, and one of the secrets is no token's.
    """

    principal: Principal | None = None
    refusal: Unauthorized | None = None
    guessed: bool = False


def identify(credentials: Credentials, find: FindToken, now: datetime) -> Identity:
    """Who bears these credentials, where `find` gives the token with a secret."""
    if not credentials.secrets:
        return Identity()
    owners = _Owners(find, now)
    try:
        principal = _recognise(credentials, owners)
    except Unauthorized as refusal:
        return Identity(None, refusal, owners.lack_any(credentials.secrets))
    return Identity(principal, None, principal is None and owners.lack_any(credentials.secrets))


def _recognise(credentials: Credentials, owners: _Owners) -> Principal | None:
    """The principal; None for an anonymous one. Raises Unauthorized, InvalidToken."""
    basic, bearer, private, deploy = credentials
    if owner := owners.valid(basic.password or deploy or bearer, Kind.DEPLOY) or owners.valid(bearer, Kind.JOB):
        return owner
    if private or bearer:
        return _required(owners.personal(private or bearer))
    if owner := owners.personal(basic.password):
        return owner
    if basic.password and basic.username == JOB_USERNAME:
        return _required(owners.valid(basic.password, Kind.JOB))
    return None


def _required(owner: Principal | None) -> Principal:
    if owner is None:
        raise Unauthorized("401 Unauthorized")
    return owner


class _Owners:
    """Finds whom a secret belongs to; an absent one is empty, and nobody's."""

    def __init__(self, find: FindToken, now: datetime) -> None:
        self._find = find
        self._now = now

    def valid(self, secret: str, kind: Kind) -> Principal | None:
        token = self._find_kind(secret, kind)
        return token.principal if token and token.standing(self._now) is Standing.VALID else None

    def personal(self, secret: str) -> Principal | None:
        """Raises InvalidToken for a personal token that was expired or revoked."""
        token = self._find_kind(secret, Kind.PERSONAL)
        if token and (invalid := _INVALID.get(token.standing(self._now))):
            raise InvalidToken(invalid)
        return token.principal if token else None

    def lack_any(self, secrets: tuple[str, ...]) -> bool:
        """Whether one of the secrets is no token's at all."""
        return any(self._find(secret) is None for secret in secrets)

    def _find_kind(self, secret: str, kind: Kind) -> Token | None:
        token = self._find(secret) if secret else None
        return token if token and token.principal.kind is kind else None
