"""What a run was made on, for the reader of its results."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import apsw


def machine(folder: Path) -> dict[str, str | int]:
    """Describe the machine, and the file system that `folder` is on."""
    return {
        "cores": os.cpu_count() or 0,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _file_system(folder: Path) -> str:
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    place = folder.resolve()
    mounts = [(Path(at), kind) for _, at, kind, *_ in map(str.split, lines) if place.is_relative_to(at)]
    return max(mounts, key=lambda mount: len(mount[0].parts))[1] if mounts else "unknown"


def strace() -> bool:
    """Tell whether fsyncs can be counted here."""
    return shutil.which("strace") is not None
