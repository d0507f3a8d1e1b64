"""GitLab's table of visibility, role and credential, and what this server adds to it."""

from __future__ import annotations

import pytest

from proxy.core.access import Action, Anonymous, Kind, Principal, Role, Scope, Verdict, anonymous, may, protects
from proxy.core.names import GroupPath, ProjectName
from proxy.core.registry import Group, Project, Protection, Visibility
from proxy.core.rules import parse_name_pattern

ACME = GroupPath("acme")
TOOLS = GroupPath("acme/tools")
ELSEWHERE = GroupPath("other")

ALLOWED, UNAUTHORIZED, FORBIDDEN = Verdict.ALLOWED, Verdict.UNAUTHORIZED, Verdict.FORBIDDEN
LACKS_SCOPE, ABSENT = Verdict.LACKS_SCOPE, Verdict.ABSENT


def group(visibility: Visibility) -> Group:
    return Group(1, ACME, visibility)


def project(
    visibility: Visibility, *, open_registry: bool = False, protection: tuple[Protection, ...] = ()
) -> Project:
    return Project(1, TOOLS, ACME, visibility, open_registry, protection=protection)


def member(role: Role | None, *scopes: Scope, kind: Kind = Kind.PERSONAL, path: GroupPath = ACME) -> Principal:
    grants = {} if role is None else {path: role}
    return Principal(kind, "token", scopes=frozenset(scopes or {Scope.API}), grants=grants)


def deploy(role: Role, *scopes: Scope) -> Principal:
    return member(role, *scopes, kind=Kind.DEPLOY)


READER = anonymous(Anonymous.READ)

# GitLab's decision table, row by row. Wrong tokens are the credentials' part: they count as anonymous, or are refused
# before anyone asks here.
TABLE = [
    ("public", "anonymous", READER, ALLOWED, UNAUTHORIZED),
    ("public", "non-member", member(None), ALLOWED, FORBIDDEN),
    ("public", "member of another group", member(Role.OWNER, path=ELSEWHERE), ALLOWED, FORBIDDEN),
    ("public", "guest", member(Role.GUEST), ALLOWED, FORBIDDEN),
    ("public", "reporter", member(Role.REPORTER), ALLOWED, FORBIDDEN),
    ("public", "developer", member(Role.DEVELOPER), ALLOWED, ALLOWED),
    ("public", "job of a developer", member(Role.DEVELOPER, kind=Kind.JOB), ALLOWED, ALLOWED),
    ("private", "anonymous", READER, UNAUTHORIZED, UNAUTHORIZED),
    ("private", "non-member", member(None), ABSENT, ABSENT),
    ("private", "member of another group", member(Role.OWNER, path=ELSEWHERE), ABSENT, ABSENT),
    ("private", "guest", member(Role.GUEST), ALLOWED, FORBIDDEN),
    ("private", "reporter", member(Role.REPORTER), ALLOWED, FORBIDDEN),
    ("private", "developer", member(Role.DEVELOPER), ALLOWED, ALLOWED),
    ("private", "maintainer", member(Role.MAINTAINER), ALLOWED, ALLOWED),
    ("private", "owner", member(Role.OWNER), ALLOWED, ALLOWED),
    ("private", "admin", member(Role.ADMIN), ALLOWED, ALLOWED),
    ("private", "deploy token that reads", deploy(Role.GUEST, Scope.READ_PACKAGE_REGISTRY), ALLOWED, LACKS_SCOPE),
    ("private", "deploy token", deploy(Role.DEVELOPER, Scope.WRITE_PACKAGE_REGISTRY), ALLOWED, ALLOWED),
    ("private", "job of a developer", member(Role.DEVELOPER, kind=Kind.JOB), ALLOWED, ALLOWED),
    ("private", "job of a stranger", member(None, kind=Kind.JOB), ABSENT, ABSENT),
]


@pytest.mark.parametrize(
    ("visibility", "principal", "read", "publish"),
    [pytest.param(v, p, r, w, id=f"{v} {caller}") for v, caller, p, r, w in TABLE],
)
def test_gitlabs_decision_table(visibility: str, principal: Principal, read: Verdict, publish: Verdict) -> None:
    target = project(Visibility(visibility))
    assert may(principal, Action.READ, target) is read
    assert may(principal, Action.PUBLISH, target) is publish
    assert may(principal, Action.READ, group(Visibility(visibility))) is read


@pytest.mark.parametrize(
    ("what", "visibility", "action", "verdict"),
    [
        (Anonymous.NONE, Visibility.PUBLIC, Action.READ, UNAUTHORIZED),
        (Anonymous.NONE, Visibility.PUBLIC, Action.PUBLISH, UNAUTHORIZED),
        (Anonymous.READ, Visibility.PUBLIC, Action.READ, ALLOWED),
        (Anonymous.READ, Visibility.PUBLIC, Action.PUBLISH, UNAUTHORIZED),
        (Anonymous.PUBLISH, Visibility.PUBLIC, Action.READ, ALLOWED),
        (Anonymous.PUBLISH, Visibility.PUBLIC, Action.PUBLISH, ALLOWED),
        (Anonymous.PUBLISH, Visibility.PUBLIC, Action.DELETE, UNAUTHORIZED),
        (Anonymous.PUBLISH, Visibility.PRIVATE, Action.READ, UNAUTHORIZED),
        (Anonymous.PUBLISH, Visibility.PRIVATE, Action.PUBLISH, UNAUTHORIZED),
    ],
)
def test_the_config_says_what_anonymous_callers_may(
    what: Anonymous, visibility: Visibility, action: Action, verdict: Verdict
) -> None:
    assert may(anonymous(what), action, project(visibility)) is verdict


@pytest.mark.parametrize(
    ("scope", "read", "publish", "delete"),
    [
        (Scope.API, ALLOWED, ALLOWED, ALLOWED),
        (Scope.READ_API, ALLOWED, LACKS_SCOPE, LACKS_SCOPE),
        (Scope.READ_PACKAGE_REGISTRY, ALLOWED, LACKS_SCOPE, LACKS_SCOPE),
        (Scope.WRITE_PACKAGE_REGISTRY, ALLOWED, ALLOWED, ALLOWED),
    ],
)
def test_a_scope_bounds_what_a_role_allows(scope: Scope, read: Verdict, publish: Verdict, delete: Verdict) -> None:
    owner = member(Role.OWNER, scope)
    for visibility in Visibility:
        target = project(visibility)
        verdicts = [may(owner, action, target) for action in (Action.READ, Action.PUBLISH, Action.DELETE)]
        assert verdicts == [read, publish, delete]


def test_a_token_without_scopes_may_nothing_and_strangers_are_not_told_that_it_is_there() -> None:
    bare = Principal(Kind.PERSONAL, grants={ACME: Role.OWNER})
    assert may(bare, Action.READ, project(Visibility.PUBLIC)) is LACKS_SCOPE
    assert may(bare, Action.READ, project(Visibility.PRIVATE)) is LACKS_SCOPE
    assert may(Principal(Kind.PERSONAL), Action.READ, project(Visibility.PRIVATE)) is ABSENT


@pytest.mark.parametrize(
    ("principal", "verdict"),
    [
        (member(Role.DEVELOPER), FORBIDDEN),
        (member(Role.DEVELOPER, kind=Kind.JOB), FORBIDDEN),
        (member(Role.MAINTAINER), ALLOWED),
        (deploy(Role.REPORTER, Scope.WRITE_PACKAGE_REGISTRY), FORBIDDEN),
        (deploy(Role.DEVELOPER, Scope.WRITE_PACKAGE_REGISTRY), ALLOWED),
        (deploy(Role.DEVELOPER, Scope.READ_PACKAGE_REGISTRY), LACKS_SCOPE),
    ],
)
def test_deleting_takes_a_maintainer_or_a_deploy_token_that_writes(principal: Principal, verdict: Verdict) -> None:
    assert may(principal, Action.DELETE, project(Visibility.PRIVATE)) is verdict


@pytest.mark.parametrize("caller", [READER, member(None), member(Role.GUEST)])
def test_an_open_registry_is_read_by_anyone(caller: Principal) -> None:
    assert may(caller, Action.READ, project(Visibility.PRIVATE, open_registry=True)) is ALLOWED


@pytest.mark.parametrize(
    ("caller", "verdict"),
    [
        (READER, UNAUTHORIZED),
        (anonymous(Anonymous.PUBLISH), UNAUTHORIZED),
        (member(None), ABSENT),
        (member(Role.GUEST), FORBIDDEN),
    ],
)
def test_an_open_registry_is_open_to_readers_alone(caller: Principal, verdict: Verdict) -> None:
    assert may(caller, Action.PUBLISH, project(Visibility.PRIVATE, open_registry=True)) is verdict


def test_an_open_registry_still_asks_for_the_scope_and_for_leave_to_read_at_all() -> None:
    target = project(Visibility.PRIVATE, open_registry=True)
    assert may(Principal(Kind.PERSONAL), Action.READ, target) is LACKS_SCOPE
    assert may(anonymous(Anonymous.NONE), Action.READ, target) is UNAUTHORIZED


@pytest.mark.parametrize(
    ("granted", "role"),
    [
        ({"acme": Role.GUEST}, Role.GUEST),
        ({"acme/tools": Role.GUEST}, Role.GUEST),
        ({"acme": Role.OWNER, "acme/tools": Role.GUEST}, Role.OWNER),
        ({"acme": Role.GUEST, "acme/tools": Role.OWNER}, Role.OWNER),
        ({"acme/too": Role.OWNER}, None),
        ({"acme/tools/more": Role.OWNER}, None),
        ({"other": Role.OWNER}, None),
        ({}, None),
    ],
)
def test_a_role_holds_on_its_path_and_below(granted: dict[str, Role], role: Role | None) -> None:
    principal = Principal(Kind.PERSONAL, grants={GroupPath(path): held for path, held in granted.items()})
    assert principal.role_on(TOOLS) == role


LOCKED_PUSH = Protection(parse_name_pattern("My_Pkg*"), push="maintainer")
LOCKED_DELETE = Protection(parse_name_pattern("my-pkg*"), delete="admin")


@pytest.mark.parametrize("push", ["maintainer", "owner", "admin"])
@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.MAINTAINER, Role.OWNER, Role.ADMIN])
def test_a_rule_protects_from_lesser_roles(push: str, role: Role) -> None:
    target = project(Visibility.PRIVATE, protection=(Protection(parse_name_pattern("my-pkg"), push=push),))
    protected = protects(member(role), Action.PUBLISH, target, ProjectName("my-pkg"))
    assert protected is (role < Role[push.upper()])


@pytest.mark.parametrize(
    ("principal", "action", "name", "protected"),
    [
        (member(Role.DEVELOPER), Action.PUBLISH, "other", False),
        (member(Role.DEVELOPER), Action.PUBLISH, "my-pkg-extra", True),
        (member(Role.MAINTAINER), Action.PUBLISH, "my-pkg", False),
        (member(Role.MAINTAINER), Action.DELETE, "my-pkg", True),
        (member(Role.OWNER), Action.DELETE, "my-pkg", True),
        (member(Role.ADMIN), Action.DELETE, "my-pkg", False),
        (member(None), Action.PUBLISH, "my-pkg", True),
        (anonymous(Anonymous.PUBLISH), Action.PUBLISH, "my-pkg", True),
        (deploy(Role.MAINTAINER), Action.PUBLISH, "my-pkg", True),
        (deploy(Role.ADMIN), Action.PUBLISH, "my-pkg", True),
        (deploy(Role.MAINTAINER), Action.PUBLISH, "other", False),
    ],
)
def test_any_rule_that_matches_protects(principal: Principal, action: Action, name: str, *, protected: bool) -> None:
    target = project(Visibility.PRIVATE, protection=(LOCKED_DELETE, LOCKED_PUSH))
    assert protects(principal, action, target, ProjectName(name)) is protected


def test_a_project_without_rules_protects_nothing() -> None:
    assert not protects(member(None), Action.DELETE, project(Visibility.PUBLIC), ProjectName("my-pkg"))
