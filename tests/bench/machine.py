"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.peers import REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = ("aiohttp", "uvicorn", "httptools", "proxpi", "gunicorn", "pypiron")


def describe_machine() -> dict[str, str]:
    """Names and values for people."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "pypi-sidecar": _revision(),
        "nginx": _said("nginx", "-v"),
        "wrk": _said("wrk", "-v"),
        "uv": version("uv"),
        "product's aiohttp": version("aiohttp"),
        **{f"peer {name}": pinned for name, pinned in pinned_versions(REQUIREMENTS.read_text()).items()},
    }


def cpu_model(cpuinfo: str) -> str:
    """Of the first processor."""
    found = re.search(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)
    return found[1] if found else platform.machine()


def pinned_versions(requirements: str) -> Mapping[str, str]:
    """Of the peers themselves."""
    pairs = dict(line.split("==") for line in requirements.splitlines() if "==" in line)
    return {name: pairs[name] for name in _SHOWN if name in pairs}


def _revision() -> str:
    root = Path(__file__).parents[2]
    try:
        ended = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return version("pypi-sidecar")
    return f"{version('pypi-sidecar')} {ended.stdout.strip()}".strip()


def _said(*command: str) -> str:
    """The version in the first line that the program says of itself."""
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    except FileNotFoundError:
        return "not installed"
    found = re.search(r"\d+(\.\d+)+", ended.stdout + ended.stderr)
    return found[0] if found else "unknown"
