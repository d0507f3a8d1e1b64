"""Laws of the policy, for any registry: a claimed name never leaves the house, nobody gets what they may not read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.access import Action, Anonymous, Kind, Principal, Role, Verdict, may
from proxy.core.access import Scope as TokenScope
from proxy.core.errors import Unauthorized
from proxy.core.model import File
from proxy.core.names import GroupPath, ProjectName, parent_path
from proxy.core.policy import (
    Decision,
    FileRules,
    Forward,
    Local,
    LocalFacts,
    Merge,
    Refuse,
    Rule,
    Scope,
    decide,
    hides,
)
from proxy.core.registry import Group, Project, Registry, Upstream, Visibility
from proxy.core.rules import Exemption, first_match, parse_name_pattern, parse_name_rule

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PATHS = [GroupPath(path) for path in ("acme", "acme/ml", "acme/ml/deep", "vault")]
PATTERNS = ["requests", "acme-*", "a*", "*"]
RULES = [*PATTERNS, "requests<2", "acme-tools>=1.5"]

names = st.sampled_from([ProjectName("requests"), ProjectName("acme-tools"), ProjectName("flask")])
patterns = st.lists(st.sampled_from(PATTERNS).map(parse_name_pattern), max_size=2).map(tuple)
name_rules = st.lists(st.sampled_from(RULES).map(parse_name_rule), max_size=2).map(tuple)
ages = st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=7)])
exemptions = st.builds(
    Exemption,
    st.sampled_from(RULES).map(parse_name_rule),
    until=st.sampled_from([None, NOW - timedelta(days=1), NOW + timedelta(days=1)]),
)


@dataclass(frozen=True)
class Case:
    """One question to the policy."""

    registry: Registry
    caller: Principal
    scope: Scope
    name: ProjectName
    facts: LocalFacts

    def decide(self) -> Decision:
        return decide(self.registry, self.caller, self.scope, self.name, self.facts)

    @property
    def group(self) -> Group:
        return self.registry.group_of(self.scope)

    @property
    def merges(self) -> bool:
        return first_match(self.group.merge, self.name) is not None

    def about(self, facts: LocalFacts) -> Case:
        return replace(self, facts=facts)


@st.composite
def groups(draw: st.DrawFn) -> list[Group]:
    """Groups of all PATHS; none is more visible than its parent."""
    made: dict[GroupPath, Group] = {}
    for number, path in enumerate(PATHS, start=1):
        parent = parent_path(path)
        visible = parent is None or made[parent].visibility is Visibility.PUBLIC
        made[path] = Group(
            number,
            path,
            draw(st.sampled_from(Visibility)) if visible else Visibility.PRIVATE,
            forwarding=draw(st.booleans()),
            upstreams=draw(st.sampled_from([(), ("pypi",), ("corp", "pypi")])),
            reserved=draw(patterns),
            allow=draw(name_rules),
            deny=draw(name_rules),
            merge=draw(patterns),
        )
    return list(made.values())


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    made = draw(groups())
    projects = []
    for number, group in enumerate(draw(st.lists(st.sampled_from(made), min_size=1, max_size=6)), start=1):
        public = group.visibility is Visibility.PUBLIC
        visibility = draw(st.sampled_from(Visibility)) if public else Visibility.PRIVATE
        path = GroupPath(f"{group.path}/p{number}")
        projects.append(Project(number, path, group.path, visibility, open_registry=draw(st.booleans())))
    return Registry(made, projects, [Upstream(name, f"https://{name}.example/simple/") for name in ("corp", "pypi")])


@st.composite
def callers(draw: st.DrawFn, registry: Registry) -> Principal:
    if draw(st.booleans()):
        return Principal(Kind.ANONYMOUS, anonymous=draw(st.sampled_from(Anonymous)))
    paths = [*(group.path for group in registry.groups), *(project.path for project in registry.projects)]
    return Principal(
        draw(st.sampled_from([Kind.PERSONAL, Kind.DEPLOY, Kind.JOB])),
        scopes=draw(st.frozensets(st.sampled_from(TokenScope), min_size=1)),
        grants=draw(st.dictionaries(st.sampled_from(paths), st.sampled_from(Role), max_size=2)),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    registry = draw(registries())
    scopes: list[Scope] = [*registry.groups, *registry.projects]
    scope = draw(st.sampled_from(scopes))
    return Case(registry, draw(callers(registry)), scope, draw(names), draw(facts_under(registry, scope)))


@st.composite
def anonymous_cases(draw: st.DrawFn) -> Case:
    """Anonymous callers of groups that have a private project somewhere below."""
    registry = draw(registries())
    hidden = Project(99, GroupPath("acme/ml/deep/hidden"), GroupPath("acme/ml/deep"), Visibility.PRIVATE)
    registry = Registry(registry.groups, [*registry.projects, hidden], registry.upstreams.values())
    scope = draw(st.sampled_from([group for group in registry.groups if hidden in registry.projects_of(group)]))
    caller = Principal(Kind.ANONYMOUS, anonymous=draw(st.sampled_from(Anonymous)))
    return Case(registry, caller, scope, draw(names), draw(facts_under(registry, scope)))


@st.composite
def facts_under(draw: st.DrawFn, registry: Registry, scope: Scope) -> LocalFacts:
    """What a store may know: holders are under the same top-level group."""
    under = [project.id for project in registry.projects_of(registry.root_of(scope))]
    holders = draw(st.frozensets(st.sampled_from(under))) if under else frozenset()
    return LocalFacts(bool(holders) or draw(st.booleans()), holders)


def may_read(case: Case, project: Project) -> bool:
    """By the group's own rule, or through the open registry's own route."""
    target = project if project is case.scope else replace(project, open_registry=False)
    return may(case.caller, Action.READ, target) is Verdict.ALLOWED


@given(cases())
def test_a_claimed_name_is_never_forwarded_outside_a_merge(case: Case) -> None:
    claimed = case.about(LocalFacts(claimed=True, holders=case.facts.holders))
    assert case.merges or isinstance(claimed.decide(), Local | Refuse)


@given(cases())
def test_a_stranger_gets_nothing_of_a_claimed_name(case: Case) -> None:
    readable = {project.id for project in case.registry.projects if may_read(case, project)}
    strange = case.about(LocalFacts(claimed=True, holders=case.facts.holders - readable))
    assert case.merges or isinstance(strange.decide(), Refuse)


@given(cases())
def test_only_holders_that_the_caller_may_read_through_the_scope_are_served(case: Case) -> None:
    decision = case.decide()
    local = decision.local if isinstance(decision, Merge) else decision
    if isinstance(local, Local):
        expected = [
            project
            for project in case.registry.projects_of(case.scope)
            if project.id in case.facts.holders and may_read(case, project)
        ]
        assert list(local.projects) == expected
        assert expected


@given(cases())
def test_who_may_not_read_the_scope_gets_one_answer_for_every_name(case: Case) -> None:
    decision = case.decide()
    refused = isinstance(decision, Refuse) and decision.reason.rule is Rule.ACCESS
    assert refused == (may(case.caller, Action.READ, case.scope) is not Verdict.ALLOWED)


@given(anonymous_cases())
def test_an_anonymous_caller_cannot_tell_private_names_of_a_group(case: Case) -> None:
    """What they may not read is answered as what does not exist, to the letter."""
    decision, unclaimed = case.decide(), case.about(LocalFacts()).decide()
    assert isinstance(unclaimed, Refuse)
    assert isinstance(unclaimed.error, Unauthorized)
    if isinstance(decision, Refuse):
        assert type(decision.error) is type(unclaimed.error)
        assert (decision.error.message, decision.reason) == (unclaimed.error.message, unclaimed.reason)
    else:
        assert isinstance(decision, Local)


@given(cases())
def test_what_is_forwarded_is_what_the_groups_rules_let_through(case: Case) -> None:
    decision = case.decide()
    forward = decision.forward if isinstance(decision, Merge) else decision
    if not isinstance(forward, Forward):
        return
    group, name = case.group, case.name
    assert group.forwarding
    assert forward.upstreams == group.upstreams != ()
    assert first_match(group.reserved, name) is None
    assert not any(rule.covers_all(name) for rule in group.deny)
    assert not group.allow or any(rule.pattern.matches(name) for rule in group.allow)
    assert forward.rules == FileRules(name, group)


@given(cases())
def test_both_sides_are_shown_of_a_merged_name_alone(case: Case) -> None:
    if isinstance(case.decide(), Merge):
        assert case.merges
        assert case.facts.claimed


@given(cases(), st.sampled_from(["reserved", "deny", "forwarding", "upstreams"]))
def test_closing_a_group_never_opens_anything(case: Case, setting: str) -> None:
    """However a group is closed to upstreams: nothing is forwarded any more, and local files are where they were."""
    closed = {
        "reserved": replace(case.group, reserved=(parse_name_pattern("*"),)),
        "deny": replace(case.group, deny=(parse_name_rule("*"),)),
        "forwarding": replace(case.group, forwarding=False),
        "upstreams": replace(case.group, upstreams=()),
    }[setting]
    before, after = case.decide(), closing(case, closed).decide()
    assert isinstance(after, Local | Refuse)
    held = before.local if isinstance(before, Merge) else before
    if isinstance(held, Local):
        assert isinstance(after, Local)
        assert after.projects == held.projects


def closing(case: Case, closed: Group) -> Case:
    made = [closed if group.path == closed.path else group for group in case.registry.groups]
    registry = Registry(made, case.registry.projects, case.registry.upstreams.values())
    scope = closed if isinstance(case.scope, Group) else case.scope
    return replace(case, registry=registry, scope=scope)


# --- Files ---

file_groups = st.builds(
    Group,
    st.just(1),
    st.just(PATHS[0]),
    allow=name_rules,
    deny=name_rules,
    min_age=ages,
    min_age_exempt=st.lists(exemptions, max_size=2).map(tuple),
)
files = st.builds(
    lambda filename, uploaded: File(filename, "https://pypi.example/", {"sha256": "a" * 64}, upload_time=uploaded),
    st.sampled_from(
        [
            "requests-1.0.tar.gz",
            "requests-2.0-py3-none-any.whl",
            "requests-banana.zip",
            "acme_tools-1.0.tar.gz",
            "acme_tools-2.0-py3-none-any.whl",
            "acme_tools-1.0.win32-py2.7.exe",
            "flask-3.0.tar.gz",
        ]
    ),
    st.one_of(st.none(), st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1), timezones=st.just(UTC))),  # noqa: DTZ001
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(names, file_groups, files, moments, moments)
def test_a_file_that_is_shown_stays_shown_until_an_exemption_ends(
    name: ProjectName, group: Group, file: File, one: datetime, other: datetime
) -> None:
    earlier, later = sorted((one, other))
    ended = any(exempt.until and earlier < exempt.until <= later for exempt in group.min_age_exempt)
    if hides(FileRules(name, group), file, earlier) is None and not ended:
        assert hides(FileRules(name, group), file, later) is None


@given(names, file_groups, files, moments, st.sampled_from(RULES), ages)
def test_a_stricter_group_shows_no_more(
    name: ProjectName, group: Group, file: File, now: datetime, text: str, age: timedelta
) -> None:
    rule = parse_name_rule(text)
    stricter = [
        replace(group, deny=(*group.deny, rule)),
        replace(group, allow=group.allow[:1]) if group.allow else replace(group, allow=(rule,)),
        replace(group, min_age=group.min_age + age),
        replace(group, min_age_exempt=()),
    ]
    if hides(FileRules(name, group), file, now) is not None:
        assert all(hides(FileRules(name, strict), file, now) is not None for strict in stricter)


@given(names, file_groups, files, moments)
def test_a_reason_names_a_rule_that_the_group_has(name: ProjectName, group: Group, file: File, now: datetime) -> None:
    reason = hides(FileRules(name, group), file, now)
    if reason is not None:
        held = {Rule.DENY: group.deny, Rule.ALLOW: group.allow, Rule.MIN_AGE: group.min_age}
        assert held[reason.rule]
        assert reason.setting.startswith('groups."acme".')
        assert reason.value
