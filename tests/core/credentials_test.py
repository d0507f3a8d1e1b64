"""Whom credentials belong to, by kind of token and form; `tests/web/visibility_test.py` has the answers they get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.access import Kind, Principal
from proxy.core.credentials import Basic, Credentials, Identity, identify
from proxy.core.digests import sha256_of
from proxy.core.errors import InvalidToken, Unauthorized
from proxy.core.tokens import Standing, Token

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)


def token(name: str, kind: Kind, *, expires_at: datetime | None = None, revoked_at: datetime | None = None) -> Token:
    return Token(Principal(kind, name), sha256_of(name.encode()), BEFORE, expires_at, revoked_at)


TOKENS = {
    each.principal.name: each
    for kind in (Kind.PERSONAL, Kind.DEPLOY, Kind.JOB)
    for each in (
        token(kind.value, kind),
        token(f"expired {kind.value}", kind, expires_at=NOW),
        token(f"revoked {kind.value}", kind, revoked_at=BEFORE),
    )
}
FORMS: dict[str, Callable[[str], Credentials]] = {
    "basic": lambda secret: Credentials(basic=Basic("zoe", secret)),
    "job": lambda secret: Credentials(basic=Basic("gitlab-ci-token", secret)),
    "bearer": lambda secret: Credentials(bearer=secret),
    "private": lambda secret: Credentials(private=secret),
    "deploy": lambda secret: Credentials(deploy=secret),
}
ACCEPTED = {
    "basic": {"personal", "deploy"},
    "job": {"personal", "deploy", "job"},
    "bearer": {"personal", "deploy", "job"},
    "private": {"personal"},
    "deploy": {"deploy"},
}
TAKES_PERSONAL = ACCEPTED.keys() - {"deploy"}
ALWAYS_401 = {"job", "bearer", "private"}
"""Forms in which wrong credentials are refused at every route."""


def recognise(credentials: Credentials) -> Identity:
    return identify(credentials, TOKENS.get, NOW)


def test_without_credentials_nobody_is_looked_for() -> None:
    def find(secret: str) -> Token:
        raise AssertionError(secret)

    assert identify(Credentials(basic=Basic("zoe", "")), find, NOW) == Identity()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["personal", "deploy", "job"])
def test_each_form_takes_its_kinds(form: str, kind: str) -> None:
    identity = recognise(FORMS[form](kind))
    assert not identity.guessed
    if kind in ACCEPTED[form]:
        assert identity == Identity(TOKENS[kind].principal)
    else:
        assert (identity.principal, identity.refusal is not None) == (None, form in ALWAYS_401)


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_secret_is_a_guess(form: str) -> None:
    identity = recognise(FORMS[form]("wrong"))
    assert (identity.principal, identity.guessed) == (None, True)
    assert (type(identity.refusal) is Unauthorized) == (form in ALWAYS_401)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("standing", ["expired", "revoked"])
def test_a_personal_token_that_ended_is_told_so_where_it_is_taken(form: str, standing: str) -> None:
    identity = recognise(FORMS[form](f"{standing} personal"))
    assert (identity.principal, identity.guessed) == (None, False)
    assert isinstance(identity.refusal, InvalidToken) == (form in TAKES_PERSONAL)
    if identity.refusal:
        assert standing in identity.refusal.message


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ended", ["expired deploy", "revoked deploy", "expired job", "revoked job"])
def test_another_token_that_ended_counts_like_none_but_is_no_guess(form: str, ended: str) -> None:
    identity = recognise(FORMS[form](ended))
    assert (identity.principal, identity.guessed) == (None, False)
    assert (type(identity.refusal) is Unauthorized) == (form in ALWAYS_401)


def test_a_guess_beside_what_is_known_is_none_where_somebody_was_recognised() -> None:
    both = Credentials(basic=Basic("zoe", "wrong"), private="personal")
    assert recognise(both) == Identity(TOKENS["personal"].principal)
    ended = recognise(Credentials(basic=Basic("zoe", "wrong"), private="expired personal"))
    assert (type(ended.refusal), ended.guessed) == (InvalidToken, True)


def test_a_token_is_valid_until_the_instant_at_which_it_expires() -> None:
    for expires_at, standing in ((None, Standing.VALID), (AFTER, Standing.VALID), (NOW, Standing.EXPIRED)):
        assert token("x", Kind.JOB, expires_at=expires_at).standing(NOW) is standing
    assert token("x", Kind.JOB, expires_at=BEFORE, revoked_at=BEFORE).standing(NOW) is Standing.REVOKED
