from __future__ import annotations

import resource

import pytest

from proxy.cli.descriptors import MAX_CONNECTIONS, MIN_CONNECTIONS, OWN, WANTED, connections_within, raise_limit

INFINITY = resource.RLIM_INFINITY
MANY = 1_000_000


class Limits:
    """The kernel's side: a limit that can be raised to `grants`, whatever the hard one says."""

    def __init__(self, soft: int, hard: int, grants: int) -> None:
        self.now = (soft, hard)
        self._grants = grants

    def get(self, _: int) -> tuple[int, int]:
        return self.now

    def set(self, _: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > self._grants:
            raise ValueError("not allowed to raise maximum limit")
        self.now = wanted


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Limits:
    limits = Limits(*request.param)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    return limits


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1024, 1_048_576, MANY), WANTED),
        ((1024, 4096, 4096), 4096),
        ((1024, 1024, 1024), 1024),
        ((256, INFINITY, MANY), WANTED),
        ((256, INFINITY, 1000), 256),
        ((INFINITY, INFINITY, MANY), WANTED),
        ((65_536, 65_536, 65_536), WANTED),
    ],
    indirect=["limits"],
)
def test_the_limit_is_raised_as_far_as_it_goes_and_helps(limits: Limits, expected: int) -> None:
    before = limits.now
    assert raise_limit() == expected
    assert limits.now[0] in {before[0], expected}
    assert limits.now[1] == before[1]


@pytest.mark.parametrize(
    ("available", "upstreams", "expected"),
    [
        (1024, 200, (1024 - OWN - 200) // 2),
        (WANTED, 200, MAX_CONNECTIONS),
        (WANTED, 8000, (WANTED - OWN - 8000) // 2),
        (256, 200, MIN_CONNECTIONS),
        (64, 0, MIN_CONNECTIONS),
    ],
)
def test_clients_get_what_the_server_leaves(available: int, upstreams: int, expected: int) -> None:
    assert connections_within(available, upstreams) == expected
