"""`python -m tests.fuzz [SECONDS]`: tries every law on ever new examples, and says how many there were.

The laws are those that the suite tries on few. A broken one ends it with the smallest example that breaks it.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from contextlib import ExitStack
from functools import wraps
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, is_hypothesis_test, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 600
BATCH = 100
"""Examples of one law before the next has its turn."""
FOLDERS = ("property", "fuzz")


def main(seconds: float) -> None:
    settings.register_profile(
        "long", max_examples=BATCH, deadline=None, database=None, print_blob=True, suppress_health_check=HealthCheck
    )
    settings.load_profile("long")
    warnings.simplefilter("ignore")
    tried: Counter[str] = Counter()
    with ExitStack() as stack:
        laws = dict(find_laws(tried, stack))
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for law in laws.values():
                law()
                if time.monotonic() > ends:
                    break
    for name in laws:
        print(f"{tried[name]:>9} {name}")  # noqa: T201
    print(f"{tried.total():>9} examples of {len(laws)} laws held in {seconds:g} s")  # noqa: T201


def find_laws(tried: Counter[str], stack: ExitStack) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each law that needs no more than a running server, by name; examples are counted in `tried`."""
    for folder in FOLDERS:
        for file in sorted(Path(__file__).parents[1].joinpath(folder).glob("*_test.py")):
            module = import_module(f"tests.{folder}.{file.stem}")
            fixtures = {"running": stack.enter_context(module.wire())} if hasattr(module, "wire") else {}
            for name, law in vars(module).items():
                if is_hypothesis_test(law) and set(signature(law).parameters) <= set(fixtures):
                    yield name, counted(law, name, tried, fixtures)


def counted(law: Any, name: str, tried: Counter[str], fixtures: dict[str, object]) -> Callable[[], None]:  # noqa: ANN401
    inner = law.hypothesis.inner_test

    @wraps(inner)
    def once(*args: object, **kwargs: object) -> None:
        tried[name] += 1
        inner(*args, **kwargs)

    law.hypothesis.inner_test = once
    return lambda: law(**{key: value for key, value in fixtures.items() if key in signature(law).parameters})


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
