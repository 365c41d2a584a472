"""What every test shares: the amount of random testing, recorded conversations, counts, no silent skips."""

import functools
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.promises import Proofs

REPOSITORY = Path(__file__).resolve().parent.parent
CORPUS = Path(
    os.environ.get("EVENTSTATE_CORPUS") or REPOSITORY.parent / "shared" / "corpus" / "airline-sessions.jsonl"
)
NO_SKIPS = os.environ.get("EVENTSTATE_NO_SKIPS", "") not in {"", "0"}

# No deadlines: a slow fsync is not a failure. Everything is stated, because on a CI machine Hypothesis
# would otherwise start from defaults of its own that repeat the same cases each time.
settings.register_profile(
    "quick", max_examples=30, deadline=None, derandomize=False, print_blob=True, stateful_step_count=20
)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=False,
    print_blob=True,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is not a failure either
)
settings.load_profile(os.environ.get("EVENTSTATE_HYPOTHESIS_PROFILE") or "quick")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The recorded conversations, one JSON object a line; they are not part of the project."""
    if not CORPUS.is_file():
        pytest.skip("the recorded conversations are not here; EVENTSTATE_CORPUS may say where they are")
    return CORPUS


PROOFS = pytest.StashKey[Proofs]()


@pytest.fixture(scope="session")
def proved(request: pytest.FixtureRequest) -> Proofs:
    """Count the cases in which a test proved a promise of `tests/promises.py`."""
    return request.config.stash.setdefault(PROOFS, Proofs())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Counts the cases of tests with the mark `proves`, unless they do so themselves."""
    mark = item.get_closest_marker("proves")
    if mark is None:
        return (yield)
    proofs = item.config.stash.setdefault(PROOFS, Proofs())
    before, examples = proofs.total(), [0]
    test: Any = getattr(item, "obj", None)
    handle = getattr(test, "hypothesis", None)
    if handle is not None:
        inner = handle.inner_test

        @functools.wraps(inner)
        def counted(*arguments: Any, **named: Any) -> Any:
            examples[0] += 1
            return inner(*arguments, **named)

        handle.inner_test = counted
    try:
        result = yield
    finally:
        if handle is not None:
            handle.inner_test = inner
    if proofs.total() == before:
        proofs(mark.args[0], examples[0] if handle is not None else 1)
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands the counts of one of several processes over to the one that tells them."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        proofs = session.config.stash.setdefault(PROOFS, Proofs())
        output["proofs"] = {promise: dict(tests) for promise, tests in proofs.counts.items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes over the counts of one of several processes."""
    node.config.stash.setdefault(PROOFS, Proofs()).add(getattr(node, "workeroutput", {}).get("proofs", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell how many cases proved what, and leave it where EVENTSTATE_PROMISES says."""
    proofs = config.stash.get(PROOFS, None)
    if proofs is None:
        return
    terminalreporter.section("cases that prove the promises")
    for line in proofs.lines():
        terminalreporter.write_line(line)
    if file := os.environ.get("EVENTSTATE_PROMISES"):
        proofs.write(Path(file))


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns a skip into a failure when EVENTSTATE_NO_SKIPS asks for it; an expected failure stays one."""
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"EVENTSTATE_NO_SKIPS is set, but this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Sees skips by marks, by fixtures and in tests."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Sees skips of whole modules."""
    report = yield
    _refuse_skip(report)
    return report
