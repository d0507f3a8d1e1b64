"""Who may do what: principals, scopes and roles as GitLab's package registry has them.

Sources: GitLab `app/policies`, `lib/api/helpers/packages`, and its request specs; the table is in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING

from proxy.core.registry import Group, Project, Visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.names import GroupPath, ProjectName


class Role(IntEnum):
    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50
    ADMIN = 60


class Scope(StrEnum):
    API = "api"
    READ_API = "read_api"
    READ_PACKAGE_REGISTRY = "read_package_registry"
    WRITE_PACKAGE_REGISTRY = "write_package_registry"


class Kind(StrEnum):
    ANONYMOUS = "anonymous"
    PERSONAL = "personal"
    DEPLOY = "deploy"
    JOB = "job"


class Anonymous(StrEnum):
    """What a caller without (known) credentials may do."""

    NONE = "none"
    READ = "read"
    PUBLISH = "publish"


class Action(Enum):
    READ = "read"
    PUBLISH = "publish"
    DELETE = "delete"


class Verdict(Enum):
    """`ABSENT` is said to a known caller who may not even know that it exists."""

    ALLOWED = "allowed"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    LACKS_SCOPE = "lacks scope"
    ABSENT = "absent"


_SCOPES = {
    # Who may write may read, as in GitLab's policies: `uv publish --check-url` reads with the token it uploads with.
    Action.READ: {Scope.API, Scope.READ_API, Scope.READ_PACKAGE_REGISTRY, Scope.WRITE_PACKAGE_REGISTRY},
    Action.PUBLISH: {Scope.API, Scope.WRITE_PACKAGE_REGISTRY},
    Action.DELETE: {Scope.API, Scope.WRITE_PACKAGE_REGISTRY},
}
_ROLES = {Action.READ: Role.GUEST, Action.PUBLISH: Role.DEVELOPER, Action.DELETE: Role.MAINTAINER}
_DEPLOY_DELETES = Role.DEVELOPER


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `grants` maps the path of a group or project to the role held there and below."""

    kind: Kind
    name: str = ""
    username: str = ""
    scopes: frozenset[Scope] = frozenset()
    grants: Mapping[GroupPath, Role] = field(default_factory=dict)
    anonymous: Anonymous = Anonymous.NONE

    @property
    def known(self) -> bool:
        return self.kind is not Kind.ANONYMOUS

    def role_on(self, path: GroupPath) -> Role | None:
        """The highest role granted on `path` or on a group above it."""
        held = [role for granted, role in self.grants.items() if path == granted or path.startswith(f"{granted}/")]
        return max(held, default=None)


def anonymous(may: Anonymous) -> Principal:
    return Principal(Kind.ANONYMOUS, anonymous=may)


def may(principal: Principal, action: Action, target: Group | Project) -> Verdict:
    """The verdict on one action on one group or project."""
    if not principal.known:
        return _may_anonymous(principal, action, target)
    role = principal.role_on(target.path)
    if role is None and _hidden(target, action):
        return Verdict.ABSENT
    if not principal.scopes & _SCOPES[action]:
        return Verdict.LACKS_SCOPE
    if action is Action.READ and not _hidden(target, action):
        return Verdict.ALLOWED
    return Verdict.ALLOWED if role is not None and role >= _needed_role(principal, action) else Verdict.FORBIDDEN


def protects(principal: Principal, action: Action, project: Project, name: ProjectName) -> bool:
    """Whether a protection rule of the project keeps this principal from acting on this name.

    Rules match normalized names; admins pass; deploy tokens never pass a rule that matches.
    """
    role = principal.role_on(project.path)
    for rule in project.protection:
        needed = rule.push if action is Action.PUBLISH else rule.delete
        if needed is None or not rule.pattern.matches(name):
            continue
        if principal.kind is Kind.DEPLOY or role is None or role < Role[needed.upper()]:
            return True
    return False


def _needed_role(principal: Principal, action: Action) -> Role:
    """A deploy token that may publish may delete too, as in GitLab."""
    if action is Action.DELETE and principal.kind is Kind.DEPLOY:
        return _DEPLOY_DELETES
    return _ROLES[action]


def _hidden(target: Group | Project, action: Action) -> bool:
    """Whether only members may know of the target; an open registry is open to readers alone."""
    opened = isinstance(target, Project) and target.open_registry and action is Action.READ
    return target.visibility is Visibility.PRIVATE and not opened


def _may_anonymous(principal: Principal, action: Action, target: Group | Project) -> Verdict:
    if action is Action.READ:
        readable = principal.anonymous is not Anonymous.NONE and not _hidden(target, action)
        return Verdict.ALLOWED if readable else Verdict.UNAUTHORIZED
    may_publish = (
        action is Action.PUBLISH
        and principal.anonymous is Anonymous.PUBLISH
        and target.visibility is Visibility.PUBLIC
    )
    return Verdict.ALLOWED if may_publish else Verdict.UNAUTHORIZED
