"""Where a name comes from, rule by rule and in their order.

The registry of these tests: `acme` is public, holds the public project `tools`, the private project `secret` and the
open registry `open`; below it, `acme/web` is public with one public project. `vault` is a private group.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.access import Action, Anonymous, Kind, Principal, Role, anonymous
from proxy.core.access import Scope as TokenScope
from proxy.core.errors import Forbidden, LacksScope, NotFound, Refused, Unauthorized
from proxy.core.model import File
from proxy.core.names import GroupPath, parse_project_name
from proxy.core.policy import (
    PACKAGE_NOT_FOUND,
    Decision,
    FileRules,
    Forward,
    Local,
    LocalFacts,
    Merge,
    Reason,
    Refuse,
    Rule,
    Scope,
    appears_at,
    check_access,
    decide,
    hides,
    readable_projects,
)
from proxy.core.registry import FileUrls, Group, Project, Registry, Upstream, Visibility
from proxy.core.rules import Exemption, NameRule, parse_name_pattern, parse_name_rule

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PUBLIC, PRIVATE = Visibility.PUBLIC, Visibility.PRIVATE

ACME = Group(1, GroupPath("acme"), upstreams=("corp", "pypi"))
WEB = Group(2, GroupPath("acme/web"))
VAULT = Group(3, GroupPath("vault"), PRIVATE)
TOOLS = Project(1, GroupPath("acme/tools"), ACME.path)
SECRET = Project(2, GroupPath("acme/secret"), ACME.path, PRIVATE)
OPEN = Project(3, GroupPath("acme/open"), ACME.path, PRIVATE, open_registry=True)
SITE = Project(4, GroupPath("acme/web/site"), WEB.path)
KEYS = Project(5, GroupPath("vault/keys"), VAULT.path, PRIVATE)

UNCLAIMED = LocalFacts()
EMPTIED = LocalFacts(claimed=True)

STRANGER = Principal(Kind.PERSONAL, "stranger", scopes=frozenset({TokenScope.READ_API}))
READER = anonymous(Anonymous.READ)


def member_of(*paths: str) -> Principal:
    grants = {GroupPath(path): Role.GUEST for path in paths}
    return Principal(Kind.PERSONAL, "member", scopes=frozenset({TokenScope.READ_API}), grants=grants)


def held_by(*projects: Project) -> LocalFacts:
    return LocalFacts(claimed=True, holders=frozenset(project.id for project in projects))


def registry(*groups: Group, projects: Iterable[Project] = (TOOLS, SECRET, OPEN, SITE, KEYS)) -> Registry:
    """The registry of these tests, with these groups in place of those of their paths."""
    named = {group.path: group for group in (ACME, WEB, VAULT, *groups)}
    upstreams = [Upstream(name, f"https://{name}.example/simple/") for name in ("corp", "pypi")]
    return Registry(named.values(), projects, upstreams)


def decided(
    scope: Scope, name: str = "requests", facts: LocalFacts = UNCLAIMED, *, caller: Principal = STRANGER
) -> Decision:
    """What is decided in a registry where the scope's group, or the scope itself, is as given here."""
    groups = (scope,) if isinstance(scope, Group) else ()
    return decide(registry(*groups), caller, scope, parse_project_name(name), facts)


def refusal(decision: Decision, rule: Rule) -> Refused:
    assert isinstance(decision, Refuse)
    assert decision.reason.rule is rule
    assert decision.error.rule == rule
    return decision.error


def rules(*texts: str) -> tuple[NameRule, ...]:
    return tuple(parse_name_rule(text) for text in texts)


# --- Access comes first ---


@pytest.mark.parametrize(
    ("caller", "scope", "error"),
    [
        (READER, VAULT, Unauthorized),
        (READER, KEYS, Unauthorized),
        (READER, SECRET, Unauthorized),
        (STRANGER, VAULT, NotFound),
        (STRANGER, SECRET, NotFound),
        (anonymous(Anonymous.NONE), ACME, Unauthorized),
        (Principal(Kind.PERSONAL, grants={ACME.path: Role.OWNER}), ACME, LacksScope),
    ],
)
@pytest.mark.parametrize("facts", [UNCLAIMED, EMPTIED, held_by(KEYS)])
def test_who_may_not_read_the_scope_learns_nothing_of_names(
    caller: Principal, scope: Scope, error: type[Refused], facts: LocalFacts
) -> None:
    assert type(refusal(decided(scope, facts=facts, caller=caller), Rule.ACCESS)) is error


@pytest.mark.parametrize(
    ("caller", "action", "error", "message"),
    [
        (READER, Action.PUBLISH, Unauthorized, "401 Unauthorized"),
        (STRANGER, Action.READ, NotFound, "404 Not Found"),
        (member_of("acme"), Action.PUBLISH, LacksScope, "The request requires higher privileges"),
        (
            Principal(Kind.PERSONAL, scopes=frozenset({TokenScope.API}), grants={ACME.path: Role.GUEST}),
            Action.PUBLISH,
            Forbidden,
            "403 Forbidden",
        ),
    ],
)
def test_a_verdict_is_told_in_gitlabs_words(
    caller: Principal, action: Action, error: type[Refused], message: str
) -> None:
    refused = check_access(caller, action, SECRET)
    assert type(refused) is error
    assert refused.message.startswith(message)
    assert refused.rule == Rule.ACCESS


def test_what_is_allowed_is_not_refused() -> None:
    assert check_access(READER, Action.READ, ACME) is None


# --- Local ---


@pytest.mark.parametrize("spelling", ["my-pkg", "My_Pkg", "MY.PKG", "my--pkg"])
def test_a_local_name_shadows_the_upstream_in_every_spelling(spelling: str) -> None:
    decision = decided(ACME, spelling, held_by(TOOLS))
    assert isinstance(decision, Local)
    assert decision.projects == (TOOLS,)
    assert decision.reason.rule is Rule.LOCAL


def test_a_group_serves_a_name_from_all_its_projects_that_the_caller_may_read() -> None:
    facts = held_by(TOOLS, SECRET, SITE)
    seen_by_stranger = decided(ACME, facts=facts)
    seen_by_member = decided(ACME, facts=facts, caller=member_of("acme/secret"))
    assert isinstance(seen_by_stranger, Local)
    assert isinstance(seen_by_member, Local)
    assert seen_by_stranger.projects == (TOOLS, SITE)
    assert seen_by_member.projects == (TOOLS, SECRET, SITE)


def test_a_readable_local_name_is_served_to_anyone_in_a_group_with_private_projects() -> None:
    decision = decided(ACME, facts=held_by(TOOLS, SECRET), caller=READER)
    assert isinstance(decision, Local)
    assert decision.projects == (TOOLS,)


def test_a_project_serves_its_own_files_alone() -> None:
    decision = decided(TOOLS, facts=held_by(TOOLS, SITE))
    assert isinstance(decision, Local)
    assert decision.projects == (TOOLS,)


@pytest.mark.parametrize("scope", [ACME, WEB, TOOLS, SITE])
@pytest.mark.parametrize("holder", [SECRET, OPEN])
def test_a_name_held_in_private_is_never_forwarded_to_who_may_not_read_it(scope: Scope, holder: Project) -> None:
    refused = refusal(decided(scope, facts=held_by(holder)), Rule.LOCAL)
    assert type(refused) is NotFound
    assert refused.message == PACKAGE_NOT_FOUND


@pytest.mark.parametrize(
    ("scope", "rule"),
    [(ACME, Rule.PRIVATE_GROUP), (WEB, Rule.LOCAL), (TOOLS, Rule.LOCAL), (SITE, Rule.LOCAL)],
)
@pytest.mark.parametrize("holder", [SECRET, OPEN])
def test_for_a_name_held_in_private_an_anonymous_caller_is_asked_to_log_in(
    scope: Scope, rule: Rule, holder: Project
) -> None:
    assert type(refusal(decided(scope, facts=held_by(holder), caller=READER), rule)) is Unauthorized


@pytest.mark.parametrize("caller", [STRANGER, READER, member_of("acme")])
def test_a_name_held_elsewhere_under_the_top_level_group_is_not_forwarded(caller: Principal) -> None:
    assert type(refusal(decided(WEB, facts=held_by(TOOLS), caller=caller), Rule.LOCAL)) is NotFound
    assert type(refusal(decided(SITE, facts=held_by(TOOLS), caller=caller), Rule.LOCAL)) is NotFound


@pytest.mark.parametrize("scope", [ACME, WEB, TOOLS, SITE])
def test_a_name_that_was_emptied_stays_local(scope: Scope) -> None:
    assert type(refusal(decided(scope, facts=EMPTIED), Rule.LOCAL)) is NotFound
    assert type(refusal(decided(scope, facts=EMPTIED, caller=member_of("acme")), Rule.LOCAL)) is NotFound


def test_an_emptied_name_tells_an_anonymous_caller_no_more_than_an_unknown_one() -> None:
    assert type(refusal(decided(ACME, facts=EMPTIED, caller=READER), Rule.PRIVATE_GROUP)) is Unauthorized
    assert type(refusal(decided(WEB, facts=EMPTIED, caller=READER), Rule.LOCAL)) is NotFound


def test_a_holder_alone_claims_the_name() -> None:
    facts = LocalFacts(claimed=False, holders=frozenset({SECRET.id}))
    assert type(refusal(decided(ACME, facts=facts), Rule.LOCAL)) is NotFound


@pytest.mark.parametrize("setting", ["reserved", "deny", "allow", "forwarding"])
def test_local_comes_before_every_rule_on_forwarding(setting: str) -> None:
    closed = {
        "reserved": replace(ACME, reserved=(parse_name_pattern("*"),)),
        "deny": replace(ACME, deny=rules("*")),
        "allow": replace(ACME, allow=rules("nothing-else")),
        "forwarding": replace(ACME, forwarding=False),
    }
    assert isinstance(decided(closed[setting], facts=held_by(TOOLS)), Local)


# --- Open registries ---


def test_an_open_registry_is_read_on_its_own_routes() -> None:
    for caller in (READER, STRANGER):
        decision = decided(OPEN, facts=held_by(OPEN), caller=caller)
        assert isinstance(decision, Local)
        assert decision.projects == (OPEN,)


def test_an_open_registry_is_closed_on_its_groups_routes() -> None:
    everything = registry()
    assert OPEN not in readable_projects(everything, STRANGER, ACME)
    assert OPEN in readable_projects(everything, member_of("acme"), ACME)
    assert readable_projects(everything, READER, OPEN) == (OPEN,)


def test_an_open_registry_forwards_like_its_group() -> None:
    decision = decided(OPEN, caller=READER)
    assert isinstance(decision, Forward)
    assert decision.upstreams == ACME.upstreams


# --- Merge ---

MERGING = replace(ACME, merge=(parse_name_pattern("Torch*"),))


def test_a_merged_name_shows_local_and_upstream_files() -> None:
    decision = decided(MERGING, "torch-audio", held_by(TOOLS))
    assert isinstance(decision, Merge)
    assert decision.local.projects == (TOOLS,)
    assert decision.local.reason == Reason(Rule.MERGE, 'groups."acme".merge', "Torch*")
    assert decision.forward.upstreams == ACME.upstreams


def test_merge_speaks_of_the_names_it_lists_alone() -> None:
    assert isinstance(decided(MERGING, "requests", held_by(TOOLS)), Local)


@pytest.mark.parametrize("facts", [UNCLAIMED, EMPTIED, held_by(SECRET)])
def test_a_merged_name_without_readable_local_files_is_forwarded(facts: LocalFacts) -> None:
    assert isinstance(decided(MERGING, "torch", facts), Forward)


@pytest.mark.parametrize(
    "closed",
    [
        replace(MERGING, forwarding=False),
        replace(MERGING, reserved=(parse_name_pattern("torch"),)),
        replace(MERGING, deny=rules("torch")),
        replace(MERGING, allow=rules("requests")),
        replace(MERGING, upstreams=()),
    ],
)
def test_a_merged_name_that_may_not_be_forwarded_is_local(closed: Group) -> None:
    assert isinstance(decided(closed, "torch", held_by(TOOLS)), Local)
    assert isinstance(decided(closed, "torch", held_by(SECRET)), Refuse)


def test_merging_opens_nothing_to_an_anonymous_caller_of_a_group_with_private_projects() -> None:
    assert isinstance(decided(MERGING, "torch", held_by(TOOLS), caller=READER), Local)
    refused = refusal(decided(MERGING, "torch", held_by(SECRET), caller=READER), Rule.PRIVATE_GROUP)
    assert type(refused) is Unauthorized


# --- Anonymous callers of a group with private projects ---


@pytest.mark.parametrize("facts", [UNCLAIMED, EMPTIED, held_by(SECRET), held_by(SECRET, OPEN)])
def test_a_group_with_private_projects_answers_401_for_every_name_that_is_not_local_and_readable(
    facts: LocalFacts,
) -> None:
    refused = refusal(decided(ACME, facts=facts, caller=READER), Rule.PRIVATE_GROUP)
    assert type(refused) is Unauthorized
    assert refused.message == "401 Unauthorized"


@pytest.mark.parametrize(
    "closed",
    [
        replace(ACME, forwarding=False),
        replace(ACME, reserved=(parse_name_pattern("*"),)),
        replace(ACME, deny=rules("*")),
    ],
)
def test_that_401_comes_before_every_rule_on_forwarding(closed: Group) -> None:
    assert type(refusal(decided(closed, caller=READER), Rule.PRIVATE_GROUP)) is Unauthorized


def test_a_group_without_private_projects_forwards_for_anyone() -> None:
    assert isinstance(decided(WEB, caller=READER), Forward)


def test_a_private_project_far_below_counts() -> None:
    hidden = Project(9, GroupPath("acme/web/hidden"), WEB.path, PRIVATE)
    deep = registry(projects=(TOOLS, SITE, hidden))
    for scope in (ACME, WEB):
        decision = decide(deep, READER, scope, parse_project_name("requests"), UNCLAIMED)
        assert type(refusal(decision, Rule.PRIVATE_GROUP)) is Unauthorized


def test_a_public_projects_own_route_forwards_for_anyone() -> None:
    assert isinstance(decided(TOOLS, caller=READER), Forward)


def test_a_known_caller_is_forwarded_in_a_group_with_private_projects() -> None:
    assert isinstance(decided(ACME, caller=STRANGER), Forward)


# --- Reserved, deny, allow, forwarding, upstreams ---


def test_an_unclaimed_name_is_asked_of_the_upstreams_in_order() -> None:
    decision = decided(ACME)
    assert isinstance(decision, Forward)
    assert decision.upstreams == ("corp", "pypi")
    assert decision.reason == Reason(Rule.UPSTREAMS, 'groups."acme".upstreams', "corp, pypi")
    assert decision.rules == FileRules(parse_project_name("requests"), ACME)


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        (
            replace(ACME, reserved=(parse_name_pattern("acme-*"), parse_name_pattern("Req*"))),
            Reason(Rule.RESERVED, 'groups."acme".reserved', "Req*"),
        ),
        (replace(ACME, deny=rules("requests<2", "Requests")), Reason(Rule.DENY, 'groups."acme".deny', "Requests")),
        (replace(ACME, deny=rules("req*")), Reason(Rule.DENY, 'groups."acme".deny', "req*")),
        (
            replace(ACME, allow=rules("flask", "django>=5")),
            Reason(Rule.ALLOW, 'groups."acme".allow', "flask, django>=5"),
        ),
        (
            replace(ACME, forwarding=False, settings={"forwarding": "forwarding.enabled"}),
            Reason(Rule.FORWARDING, "forwarding.enabled", "false"),
        ),
        (replace(ACME, upstreams=()), Reason(Rule.UPSTREAMS, 'groups."acme".upstreams', "none")),
    ],
)
def test_a_name_that_a_rule_hides_is_absent_and_the_reason_names_the_setting(group: Group, reason: Reason) -> None:
    decision = decided(group, "requests")
    refused = refusal(decision, reason.rule)
    assert isinstance(decision, Refuse)
    assert decision.reason == reason
    assert type(refused) is NotFound
    assert refused.message == PACKAGE_NOT_FOUND


@pytest.mark.parametrize(
    "group",
    [
        replace(ACME, reserved=(parse_name_pattern("acme-*"),)),
        replace(ACME, deny=rules("urllib3", "requests<2.32")),
        replace(ACME, allow=rules("req*")),
        replace(ACME, allow=rules("flask", "requests>=2")),
    ],
)
def test_a_name_that_no_rule_hides_is_forwarded(group: Group) -> None:
    assert isinstance(decided(group, "requests"), Forward)


def test_the_rules_speak_in_their_order() -> None:
    """All rules hide the name; taking away the one that speaks lets the next one speak."""
    closed = Group(
        1,
        GroupPath("acme"),
        reserved=(parse_name_pattern("requests"),),
        deny=rules("requests"),
        allow=rules("flask"),
        forwarding=False,
        upstreams=(),
    )
    spoke = []
    for opened in (
        closed,
        closed := replace(closed, reserved=()),
        closed := replace(closed, deny=()),
        closed := replace(closed, allow=()),
        closed := replace(closed, forwarding=True),
    ):
        decision = decided(opened)
        assert isinstance(decision, Refuse)
        spoke.append(decision.reason.rule)
    assert spoke == [Rule.RESERVED, Rule.DENY, Rule.ALLOW, Rule.FORWARDING, Rule.UPSTREAMS]


def test_a_project_obeys_its_own_groups_rules() -> None:
    with_rules = registry(replace(WEB, reserved=(parse_name_pattern("requests"),)))
    name = parse_project_name("requests")
    refusal(decide(with_rules, STRANGER, SITE, name, UNCLAIMED), Rule.RESERVED)
    assert isinstance(decide(with_rules, STRANGER, TOOLS, name, UNCLAIMED), Forward)


@pytest.mark.parametrize(("file_urls", "kept"), [(FileUrls.RELATIVE, False), (FileUrls.UPSTREAM, True)])
def test_a_group_may_keep_the_upstreams_own_urls(file_urls: FileUrls, *, kept: bool) -> None:
    decision = decided(replace(ACME, file_urls=file_urls))
    assert isinstance(decision, Forward)
    assert decision.keeps_upstream_urls is kept


# --- Files: deny and allow of versions ---


def listed(filename: str = "requests-2.31.0.tar.gz", uploaded: datetime | None = NOW - 30 * DAY) -> File:
    return File(filename, f"https://pypi.example/{filename}", {"sha256": "a" * 64}, upload_time=uploaded)


def hidden(group: Group, file: File, *, now: datetime = NOW, name: str = "requests") -> Reason | None:
    return hides(FileRules(parse_project_name(name), group), file, now)


def test_without_rules_every_file_is_shown() -> None:
    for filename in ("requests-2.31.0.tar.gz", "requests-banana.zip", "notes.txt"):
        assert hidden(ACME, listed(filename, uploaded=None)) is None


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("requests-2.31.0.tar.gz", False),
        ("requests-2.31.0-py3-none-any.whl", False),
        ("Requests-2.31.0.ZIP", False),
        ("requests-2.31.0-py2.7.egg", False),
        ("requests-2.32.0.tar.gz", True),
        ("requests-3.0a1.tar.gz", True),
        ("requests-1!1.0.tar.gz", True),
        ("requests-2.0.win32-py2.7.exe", False),
        ("requests-banana.tar.gz", False),
        ("requests-2.32.0 (1).tar.gz", False),
        ("unrelated-9.0.tar.gz", False),
    ],
)
def test_denied_versions_are_hidden_and_so_is_what_tells_no_version(filename: str, *, shown: bool) -> None:
    group = replace(ACME, deny=rules("urllib3", "Requests<2.32"))
    expected = None if shown else Reason(Rule.DENY, 'groups."acme".deny', "Requests<2.32")
    assert hidden(group, listed(filename)) == expected


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("requests-2.31.0.tar.gz", True),
        ("requests-2.32.0.tar.gz", False),
        ("requests-2.0.win32-py2.7.exe", False),
        ("requests-banana.tar.gz", False),
    ],
)
def test_only_allowed_versions_are_shown(filename: str, *, shown: bool) -> None:
    group = replace(ACME, allow=rules("flask", "requests<2.32"))
    expected = None if shown else Reason(Rule.ALLOW, 'groups."acme".allow', "flask, requests<2.32")
    assert hidden(group, listed(filename)) == expected


def test_a_name_allowed_whole_shows_files_without_a_version() -> None:
    assert hidden(replace(ACME, allow=rules("requests<2", "req*")), listed("requests-banana.zip")) is None


def test_rules_on_other_names_hide_nothing() -> None:
    assert hidden(replace(ACME, deny=rules("urllib3<2", "flask")), listed("requests-banana.zip")) is None


def test_deny_comes_before_allow() -> None:
    both = replace(ACME, deny=rules("requests==2.31.0"), allow=rules("requests"))
    reason = hidden(both, listed())
    assert reason is not None
    assert reason.rule is Rule.DENY


# --- Files: min_age ---

QUARANTINE = replace(ACME, min_age=7 * DAY)
TOO_YOUNG = Reason(Rule.MIN_AGE, 'groups."acme".min_age', "7 days, 0:00:00")


@pytest.mark.parametrize(
    ("uploaded", "reason"),
    [
        (NOW - 8 * DAY, None),
        (NOW - 7 * DAY, None),
        (NOW - 7 * DAY + timedelta(seconds=1), TOO_YOUNG),
        (NOW, TOO_YOUNG),
        (NOW + DAY, TOO_YOUNG),
        (datetime.max.replace(tzinfo=UTC), TOO_YOUNG),
        (datetime.min.replace(tzinfo=UTC), None),
        (None, TOO_YOUNG),
    ],
)
def test_a_file_is_hidden_until_it_has_its_age(uploaded: datetime | None, reason: Reason | None) -> None:
    assert hidden(QUARANTINE, listed(uploaded=uploaded)) == reason


def test_without_a_minimum_age_no_file_is_too_young() -> None:
    assert hidden(replace(ACME, deny=rules("flask")), listed(uploaded=None)) is None


def test_a_denied_file_that_is_also_too_young_is_said_to_be_denied() -> None:
    reason = hidden(replace(QUARANTINE, deny=rules("requests<3")), listed(uploaded=NOW))
    assert reason is not None
    assert reason.rule is Rule.DENY


def exempting(text: str, until: datetime | None = None) -> Group:
    return replace(QUARANTINE, min_age_exempt=(Exemption(parse_name_rule(text), "needed now", until),))


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        (exempting("requests"), None),
        (exempting("req*"), None),
        (exempting("requests>=2.31"), None),
        (exempting("requests<2"), TOO_YOUNG),
        (exempting("flask"), TOO_YOUNG),
        (exempting("requests", until=NOW + DAY), None),
        (exempting("requests", until=NOW), TOO_YOUNG),
        (exempting("requests", until=NOW - DAY), TOO_YOUNG),
    ],
)
def test_an_exemption_lifts_the_age_until_it_ends(group: Group, reason: Reason | None) -> None:
    assert hidden(group, listed(uploaded=NOW)) == reason
    assert hidden(group, listed(uploaded=None)) == reason


def test_an_exemption_of_versions_leaves_out_what_has_none() -> None:
    assert hidden(exempting("requests>=1"), listed("requests-banana.zip", NOW)) == TOO_YOUNG
    assert hidden(exempting("requests"), listed("requests-banana.zip", NOW)) is None


def test_an_exemption_from_the_age_is_none_from_a_deny() -> None:
    group = replace(exempting("requests"), deny=rules("requests<3"))
    reason = hidden(group, listed(uploaded=NOW))
    assert reason is not None
    assert reason.rule is Rule.DENY


@pytest.mark.parametrize(
    ("uploaded", "appears"),
    [(NOW, NOW + 7 * DAY), (None, None), (datetime.max.replace(tzinfo=UTC), None)],
)
def test_a_young_file_tells_when_it_will_appear(uploaded: datetime | None, appears: datetime | None) -> None:
    file_rules = FileRules(parse_project_name("requests"), QUARANTINE)
    assert appears_at(file_rules, listed(uploaded=uploaded)) == appears
