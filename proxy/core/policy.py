"""THE decision: may this caller get this name, and this file, through this scope, and from where?

Pages, files, metadata, HEAD, ranges, explain and the packages API all ask `decide` for the name and `hides` for each
forwarded file. Each outcome carries the rule that made it and the setting that holds the rule.

Order (the first that speaks wins): access, local, private group, reserved, deny, allow, forwarding, upstreams; then
per file: deny and allow of versions, min_age.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from proxy.core import errors
from proxy.core.access import Action, Principal, Verdict, may
from proxy.core.distributions import version_of
from proxy.core.registry import FileUrls, ForwardingMode, Group, Project
from proxy.core.rules import first_match

if TYPE_CHECKING:
    from datetime import datetime

    from packaging.version import Version

    from proxy.core.model import File
    from proxy.core.names import ProjectName
    from proxy.core.registry import Registry

Scope: TypeAlias = Group | Project

PACKAGE_NOT_FOUND = "404 Package Not Found"


class Rule(StrEnum):
    """Ids of the rules; `explain` and the decision header name them."""

    ACCESS = "access"
    LOCAL = "local"
    MERGE = "merge"
    PRIVATE_GROUP = "private-group"
    RESERVED = "reserved"
    DENY = "deny"
    ALLOW = "allow"
    FORWARDING = "forwarding"
    UPSTREAMS = "upstreams"
    MIN_AGE = "min-age"


@dataclass(frozen=True, slots=True)
class Reason:
    """Which rule decided, which setting holds it, and the setting's value in words."""

    rule: Rule
    setting: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """What the store knows of a name under one top-level group: whether it was ever held there, and who holds it now.

    `holders` are ids of projects; a name that is held counts as claimed.
    """

    claimed: bool = False
    holders: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class FileRules:
    """What `hides` needs to judge each forwarded file of one name."""

    name: ProjectName
    group: Group


@dataclass(frozen=True, slots=True)
class Local:
    """Serve the local files of these projects, and nothing else."""

    projects: tuple[Project, ...]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Forward:
    """Ask these upstreams in order; `rules` judge each file. `redirects`: the caller is to ask them itself."""

    upstreams: tuple[str, ...]
    rules: FileRules
    reason: Reason
    redirects: bool = False

    @property
    def keeps_upstream_urls(self) -> bool:
        return self.rules.group.file_urls is FileUrls.UPSTREAM


@dataclass(frozen=True, slots=True)
class Merge:
    """Show local and forwarded files together: the config names this project in `merge`."""

    local: Local
    forward: Forward


@dataclass(frozen=True, slots=True)
class Refuse:
    """`error` is what the caller is to be told."""

    error: errors.Refused
    reason: Reason


Decision: TypeAlias = Local | Forward | Merge | Refuse


def check_access(principal: Principal, action: Action, target: Scope) -> errors.Refused | None:
    """The refusal for an action on a group or project, or None where it is allowed."""
    match may(principal, action, target):
        case Verdict.ALLOWED:
            return None
        case Verdict.UNAUTHORIZED:
            return errors.Unauthorized("401 Unauthorized", rule=Rule.ACCESS)
        case Verdict.FORBIDDEN:
            return errors.Forbidden("403 Forbidden", rule=Rule.ACCESS)
        case Verdict.LACKS_SCOPE:
            return errors.LacksScope(Rule.ACCESS)
        case Verdict.ABSENT:
            return errors.NotFound("404 Not Found", rule=Rule.ACCESS)


def readable_projects(registry: Registry, principal: Principal, scope: Scope) -> tuple[Project, ...]:
    """The projects whose files this caller sees through this scope.

    An open registry opens the project's own routes, not its group's (GitLab's finder asks for group access).
    """
    return tuple(
        project
        for project in registry.projects_of(scope)
        if may(principal, Action.READ, project if project is scope else _closed(project)) is Verdict.ALLOWED
    )


def decide(registry: Registry, principal: Principal, scope: Scope, name: ProjectName, facts: LocalFacts) -> Decision:
    """Where `name` comes from for this caller through this scope."""
    if refused := check_access(principal, Action.READ, scope):
        return Refuse(refused, Reason(Rule.ACCESS))
    readable = readable_projects(registry, principal, scope)
    local = Local(tuple(p for p in readable if p.id in facts.holders), Reason(Rule.LOCAL, "", name))
    group = registry.group_of(scope)
    if not (facts.claimed or facts.holders):
        return _decide_forward(registry, principal, scope, name)
    if (pattern := first_match(group.merge, name)) is None:
        return local if local.projects else _refuse_local(registry, principal, scope, facts)
    forward = _decide_forward(registry, principal, scope, name)
    if not local.projects:
        return forward
    if not isinstance(forward, Forward):
        return local
    merged = Reason(Rule.MERGE, group.setting("merge"), pattern.text)
    return Merge(Local(local.projects, merged), forward)


def hides(rules: FileRules, file: File, now: datetime) -> Reason | None:
    """The reason why a forwarded file is hidden, or None where it is shown."""
    if not may_hide(rules):
        return None
    version = version_of(file.filename, rules.name)
    return _hides_version(rules, version) or _hides_young(rules, file, version, now)


def policy_time(now: datetime) -> datetime:
    """The time by which `min_age` judges, by the minute: pages and files agree, and pages can be kept meanwhile."""
    return now.replace(second=0, microsecond=0)


def may_hide(rules: FileRules) -> bool:
    """Whether there is any file that the rules might hide."""
    group = rules.group
    return bool(group.deny or group.allow or group.min_age)


def appears_at(rules: FileRules, file: File) -> datetime | None:
    """When `min_age` will let the file through; None where that can never be told."""
    if file.upload_time is None:
        return None
    try:
        return file.upload_time + rules.group.min_age
    except OverflowError:
        return None


def _closed(project: Project) -> Project:
    return replace(project, open_registry=False) if project.open_registry else project


def _refuse_local(registry: Registry, principal: Principal, scope: Scope, facts: LocalFacts) -> Refuse:
    """A local name that this scope does not show to this caller is absent, and never forwarded."""
    if refused := _refuse_anonymous(registry, principal, scope):
        return refused
    reason = Reason(Rule.LOCAL)
    visible = {project.id for project in readable_projects(registry, principal, registry.root_of(scope))}
    if not principal.known and facts.holders - visible:
        return Refuse(errors.Unauthorized("401 Unauthorized", rule=reason.rule), reason)
    return Refuse(errors.NotFound(PACKAGE_NOT_FOUND, rule=reason.rule), reason)


def _refuse_anonymous(registry: Registry, principal: Principal, scope: Scope) -> Refuse | None:
    """One answer for all names in a group with private projects: another one by name would tell which exist."""
    if principal.known or len(readable_projects(registry, principal, scope)) == len(registry.projects_of(scope)):
        return None
    reason = Reason(Rule.PRIVATE_GROUP)
    return Refuse(errors.Unauthorized("401 Unauthorized", rule=reason.rule), reason)


def _decide_forward(registry: Registry, principal: Principal, scope: Scope, name: ProjectName) -> Forward | Refuse:
    if refused := _refuse_anonymous(registry, principal, scope):
        return refused
    group = registry.group_of(scope)
    if hidden := _hides_name(group, name):
        return Refuse(errors.NotFound(PACKAGE_NOT_FOUND, rule=hidden.rule), hidden)
    reason = Reason(Rule.UPSTREAMS, group.setting("upstreams"), ", ".join(group.upstreams))
    redirects = registry.mode is ForwardingMode.REDIRECT
    return Forward(group.upstreams, FileRules(name, group), reason, redirects)


def _hides_name(group: Group, name: ProjectName) -> Reason | None:
    if pattern := first_match(group.reserved, name):
        return Reason(Rule.RESERVED, group.setting("reserved"), pattern.text)
    if denied := next((rule for rule in group.deny if rule.covers_all(name)), None):
        return Reason(Rule.DENY, group.setting("deny"), denied.text)
    if group.allow and not any(rule.pattern.matches(name) for rule in group.allow):
        return Reason(Rule.ALLOW, group.setting("allow"), ", ".join(rule.text for rule in group.allow))
    if not group.forwarding:
        return Reason(Rule.FORWARDING, group.setting("forwarding"), "false")
    if not group.upstreams:
        return Reason(Rule.UPSTREAMS, group.setting("upstreams"), "none")
    return None


def _hides_version(rules: FileRules, version: Version | None) -> Reason | None:
    """A version that cannot be told is denied by a rule on versions, and allowed by none."""
    group, name = rules.group, rules.name
    for rule in group.deny:
        if rule.covers(name, version) is not False:
            return Reason(Rule.DENY, group.setting("deny"), rule.text)
    if group.allow and not any(rule.covers(name, version) for rule in group.allow):
        return Reason(Rule.ALLOW, group.setting("allow"), ", ".join(rule.text for rule in group.allow))
    return None


def _hides_young(rules: FileRules, file: File, version: Version | None, now: datetime) -> Reason | None:
    group = rules.group
    if group.min_age <= timedelta(0):
        return None
    if any(exemption.covers(rules.name, version, now) for exemption in group.min_age_exempt):
        return None
    if file.upload_time is not None and now - file.upload_time >= group.min_age:
        return None
    return Reason(Rule.MIN_AGE, group.setting("min_age"), str(group.min_age))
