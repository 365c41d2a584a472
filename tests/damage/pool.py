"""The other end of a worker: one process that is asked about journals, and started again when it dies."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Final, Self

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.damage.images import Image

_PATIENCE: Final = 300.0  # seconds; a worker that loops in C answers to nothing else


class Worker:
    """A process to try journals in.

    Args:
        folder: where the journals are put.
        whole: what the process is warmed up with.
    """

    def __init__(self, folder: Path, whole: Image) -> None:
        self._folder = folder
        self._whole = whole
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def verdict(self, image: Image) -> str | None:
        """Do everything with a journal, and say what went wrong."""
        process = self._process
        if process is None:
            process = self._process = self._start()
        wrong = self._asked(process, image)
        if wrong is not None:  # it may have left something behind
            self._stop()
        return wrong

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.damage.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            text=True,
        )
        wrong = self._asked(process, self._whole)
        if wrong is not None:
            raise AssertionError(f"the worker is wrong about a whole journal: {wrong}")
        return process

    def _asked(self, process: subprocess.Popen[str], image: Image) -> str | None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{image.write(self._folder)}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _PATIENCE)
        if not ready:
            return f"no answer within {_PATIENCE} s"
        line = process.stdout.readline()
        if not line:
            return f"the interpreter died: {process.wait()}"
        answer: str | None = json.loads(line)
        return answer

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
