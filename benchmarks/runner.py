"""Contestants as processes, which take their steps one after the other, over and over."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from benchmarks.contestant import Answer

REPOSITORY = Path(__file__).resolve().parent.parent
STARTING = 120.0
"""Seconds that a contestant has to import its package."""
ENDING = 10.0
"""Seconds that it has to end by itself."""

Kind = Literal["ours", "floor", "peer"]


@dataclass(frozen=True)
class Entrant:
    """Who takes part.

    A floor comes right after ours in each round, as it writes the rows that ours wrote.
    """

    name: str
    kind: Kind
    command: tuple[str, ...]


class Process:
    """A running contestant.

    Args:
        command: what starts it.
        log: where its standard error goes.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
        }
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put(None)

    @property
    def running(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], timeout: float) -> Answer:
        """Ask it to do something, and wait for the answer; `{"failed": why}` if there is none.

        Args:
            request: what `benchmarks.contestant` describes.
            timeout: seconds; a contestant that takes longer is ended.
        """
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout)
        except (OSError, ValueError):
            line = None
        except queue.Empty:
            self.kill()
            return {"failed": f"no answer to {request['do']!r} within {timeout:g} seconds"}
        if line is None:
            self.stop()  # it may still be about to say why
            return {"failed": f"it ended during {request['do']!r}: {self._last_words()}"}
        try:
            answer = json.loads(line)
        except json.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            self.kill()
            return {"failed": f"it answered {request['do']!r} with {line[:80]!r}"}
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"exit code {self._process.returncode}, {last[:200]}"

    def kill(self) -> None:
        """End it, and all that it started, at once."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._hang_up()
        self._listener.join()

    def stop(self) -> None:
        """Let it end by itself; after some seconds end it."""
        self._hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING)
        self.kill()

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it had ended, and did not read all
            self._process.stdin.close()


class Field:
    """The entrants of a run with their processes; one that ends is started again when it is next asked.

    Args:
        entrants: who takes part.
        folder: where the logs go.
        timeout: seconds that an answer may take.
        trace: a folder for `strace`'s logs of what syncs; without it nothing is traced.

    Attributes:
        entrants: who takes part, in the order of the report.
        about: what each says of itself, or `{"failed": why}`.
    """

    TRACED = "fsync,fdatasync,msync,sync_file_range"

    def __init__(
        self, entrants: Iterable[Entrant], folder: Path, timeout: float, trace: Path | None = None
    ) -> None:
        self.entrants = list(entrants)
        self.about: dict[str, Answer] = {}
        self._folder, self._timeout, self._trace = folder, timeout, trace
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        # All at once: importing a peer's package may take seconds.
        for entrant in self.entrants:
            self._start(entrant)
        for entrant in self.entrants:
            self.about[entrant.name] = self._processes[entrant.name].ask({"do": "about"}, STARTING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.stop()

    def _start(self, entrant: Entrant) -> None:
        command = entrant.command
        if self._trace is not None:
            log = self._trace / f"{entrant.name}.strace"
            command = ("strace", "-f", "-ttt", "-o", str(log), "-e", f"trace={self.TRACED}", *command)
        self._processes[entrant.name] = Process(command, self._folder / f"{entrant.name}.log")

    def ask(self, name: str, request: dict[str, Any]) -> Answer:
        """Ask a contestant; see `Process.ask`."""
        if "about" not in self.about[name] and "failed" in self.about[name]:
            return {"failed": self.about[name]["failed"]}
        return self._processes[name].ask(request, self._timeout)

    def revive(self) -> None:
        """Start those again that ended, but for those that never started."""
        for entrant in self.entrants:
            if "failed" not in self.about[entrant.name] and not self._processes[entrant.name].running:
                self._start(entrant)

    def order(self, names: Iterable[str], turn: int) -> list[str]:
        """Give the order of the entrants in a round: each time another one is the first."""
        names = set(names)
        groups: list[list[str]] = []
        for entrant in self.entrants:
            if entrant.name in names:
                if entrant.kind == "floor" and groups:
                    groups[0].append(entrant.name)
                else:
                    groups.append([entrant.name])
        first = turn % len(groups) if groups else 0
        return [name for group in groups[first:] + groups[:first] for name in group]

    def kind(self, name: str) -> Kind:
        """Tell what an entrant is."""
        return next(entrant.kind for entrant in self.entrants if entrant.name == name)
