"""The machine and the versions that figures were measured with, in words; never its name."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from offcut_build.bench.peers import ONNXRUNTIME_WEB

__all__ = ["describe"]


def describe(browser: str, *, quick: bool = False) -> dict[str, str]:
    """Return keys machine/... to text. browser: its version. quick: whether the run was short."""
    rows = {
        "run": "quick" if quick else "whole",
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": str(_cores()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": _load(),
        "browser": f"headless Chromium {browser}",
        "python": platform.python_version(),
        "onnxruntime_web": ONNXRUNTIME_WEB[1],
        "onnxruntime": version("onnxruntime"),
    }
    return {f"machine/{key}": value for key, value in rows.items()}


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    except (AttributeError, ValueError, OSError):
        return "unknown"


def _load() -> str:
    """Return how many programs wanted a core during the last minute, before the benchmark."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
