"""The contests, one for each workload; each gives tables as data."""

from __future__ import annotations

import math
import random
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import workloads
from benchmarks.contest import Ask, Contest, Step, Tallies, Tally, Weigh, difference
from benchmarks.contestant import SMALL_ATTRIBUTES
from benchmarks.figures import exponent, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.contestant import Answer
    from benchmarks.runner import Field

BATCH = 100
"""Events in one commit, where many are appended."""
EVERY = 10
"""Tokens in one commit, where a text grows."""
FEW = 3
"""Turns of each of many sessions."""
SESSION_EVENTS = 10_000
"""Events of each session of the biggest file."""
WEIGHINGS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""At what shares of the growing session its store is weighed, beside its end."""

Table = dict[str, Any]


class Setting(NamedTuple):
    """What all contests are given."""

    field: Field
    folder: Path
    sizes: workloads.Sizes
    seed: int

    def contest(self, name: str, durability: str, only: tuple[str, ...] | None = None) -> Contest:
        """Begin a contest."""
        return Contest(self.field, self.folder / name, durability, self.sizes.budget, only)


def table(
    contest: Contest, tallies: Tallies, name: str, title: str, *, step: str, count: int, grows: bool = False
) -> Table:
    """Give a phase as data for the results.

    Args:
        contest: whose phase it was.
        tallies: what came of it.
        name: the table's, for programs.
        title: one line for the reader.
        step: what was timed, as a noun.
        count: how many steps there were to take.
        grows: whether it matters how the time of a step grows.
    """
    rows = {name: tally.row(grows=grows) for name, tally in tallies.items()}
    ours = next((name for name in rows if contest.field.kind(name) == "ours"), None)
    if ours is not None and not tallies[ours].ending:
        for other, row in rows.items():
            row["ratio"] = ratio(tallies[other], tallies[ours])
    return {
        "name": name,
        "title": title,
        "step": step,
        "count": count,
        "durability": contest.durability,
        "fdatasync": summary(contest.fdatasync),
        "rows": rows,
    }


def ratio(other: Tally, ours: Tally) -> float | None:
    """Give the ratio of the medians of the steps that both took; `None` if it would say nothing."""
    common = min(len(other.seconds), len(ours.seconds))
    if other.ending or not common or other.after != ours.after:
        return None
    return statistics.median(other.seconds[:common]) / statistics.median(ours.seconds[:common])


def joined(marks: list[int], tables: list[Table]) -> Table:
    """Make one table of those that were taken after so many steps each, with medians as the growth."""
    last = tables[-1]
    for name, row in last["rows"].items():
        medians = [table["rows"][name].get("p50") for table in tables]
        if None not in medians:
            row["growth"] = {"steps": marks, "seconds": medians}
            row["exponent"] = exponent(marks, medians)
    return last


def chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Cut a list into parts."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def recorded(setting: Setting) -> Iterator[Table]:
    """Recorded conversations, a turn a message."""
    chats = workloads.recorded(setting.seed, setting.sizes.recorded)
    order = [(name, turn) for name, turns in chats.sessions.items() for turn in turns]

    def steps() -> Iterator[Step]:
        for name, turns in chats.sessions.items():
            for chunk in chunks(turns, setting.sizes.chunk):
                yield Ask("turns", {"session": name, "turns": chunk}, len(chunk))

    first = next(iter(chats.sessions))
    with setting.contest("recorded", "full") as contest:
        tallies = contest.phase(steps())
        contest.weigh(tallies, first)
        contest.check(
            tallies, first, lambda done: workloads.after(turn for name, turn in order[:done] if name == first)
        )
        title = f"Turns of {chats.source}, FULL"
        yield table(contest, tallies, "recorded", title, step="turn", count=len(order))


def _growing(setting: Setting, contest: Contest, turns: list[workloads.Turn]) -> Tallies:
    """Let a session grow, weigh it on its way, and check it."""

    def steps() -> Iterator[Step]:
        done, stops = 0, [int(share * len(turns)) for share in WEIGHINGS]
        for chunk in chunks(turns, setting.sizes.chunk):
            yield Ask("turns", {"session": "growing", "turns": chunk}, len(chunk))
            done += len(chunk)
            if stops and done >= stops[0]:
                stops = [stop for stop in stops if stop > done]
                yield Weigh("growing")

    tallies = contest.phase(steps())
    contest.weigh(tallies, "growing")
    contest.check(tallies, "growing", lambda done: workloads.after(turns[:done]))
    return tallies


def growing(setting: Setting) -> Iterator[Table]:
    """One session that grows."""
    turns = workloads.plain_turns(setting.seed, setting.sizes.growing)
    with setting.contest("growing", "full") as contest:
        tallies = _growing(setting, contest, turns)
        title = f"A session growing to {len(turns):,} turns, FULL"
        yield table(contest, tallies, "growing", title, step="turn", count=len(turns), grows=True)


def reading(setting: Setting) -> Iterator[Table]:
    """One session that is written with NORMAL, and read in all ways."""
    turns = workloads.plain_turns(setting.seed, setting.sizes.reading)
    reads, name, what = setting.sizes.reads, "growing", f"a session of {len(turns):,} turns"
    rng = random.Random(setting.seed)

    with setting.contest("reading", "normal") as contest:
        written = _growing(setting, contest, turns)
        title = f"A session growing to {len(turns):,} turns, NORMAL"
        yield table(contest, written, "turns", title, step="turn", count=len(turns), grows=True)

        def right(who: str, answer: Answer) -> str | None:
            return difference(answer, workloads.after(turns[: len(written[who].seconds)]))

        def all_turns(who: str, answer: Answer) -> str | None:
            count, right = answer["count"], len(written[who].seconds)
            return f"{count} values were found, of {right}" if count != right else None

        latest = Ask("latest", {"session": name}, check=right)
        tallies = contest.phase([latest] * reads, of=written)
        title = f"The latest state of {what}, from an open store"
        yield table(contest, tallies, "latest", title, step="read", count=reads)

        history = Ask("history", {"session": name, "attribute": "turn"}, check=all_turns)
        tallies = contest.phase([history] * reads, of=written)
        title = f"All values that one attribute of {what} ever had"
        yield table(contest, tallies, "history", title, step="history", count=reads)

        shares = [rng.random() for _ in range(reads)]
        tallies = contest.phase([_at(name, share, written) for share in shares], of=written)
        title = f"The state of {what}, as it was after some turn"
        yield table(contest, tallies, "at", title, step="read", count=reads)

        tallies = contest.phase([_fork(name, number, written) for number in range(reads)], of=written)
        title = f"A branch, or a copy, of {what}, from its middle on"
        yield table(contest, tallies, "fork", title, step="fork", count=reads)

        steps = [_Cold(name, right)] * reads
        tallies = contest.phase(steps, of=written)
        title = f"Opening the store, and the latest state of {what}"
        yield table(contest, tallies, "cold", title, step="read", count=reads)


def _at(session: str, share: float, written: Tallies) -> Step:
    def turn(who: str) -> int:
        return 1 + int(share * len(written[who].seconds))

    def right(who: str, answer: Answer) -> str | None:
        given = answer["messages"]
        return f"turn {turn(who)} has {given} messages" if given != [turn(who)] else None

    return Ask("at", lambda who: {"session": session, "turns": [turn(who)]}, check=right)


def _fork(session: str, number: int, written: Tallies) -> Step:
    def arguments(who: str) -> dict[str, Any]:
        middle = (len(written[who].seconds) + 1) // 2
        return {"session": session, "at": middle, "names": [f"fork {number}"]}

    return Ask("fork", arguments)


class _Cold:
    """Closes the store, and has it opened and read in one timed step."""

    share = 1

    def __init__(self, session: str, check: Callable[[str, Answer], str | None]) -> None:
        self._session, self._check = session, check

    def take(self, contest: Contest, name: str, tally: Tally) -> Answer:
        """Close, open and read."""
        answer = contest.field.ask(name, {"do": "close"})
        if answer.keys() & {"failed", "error"}:
            return answer
        arguments = {**contest.place(name), "session": self._session}
        return Ask("cold", arguments, check=self._check).take(contest, name, tally)


def attributes(setting: Setting) -> Iterator[Table]:
    """20 small attributes that change, one a commit."""
    changes = workloads.small_changes(setting.seed, setting.sizes.changes)
    name = SMALL_ATTRIBUTES[0]

    def found(who: str, answer: Answer) -> str | None:
        right = sum(name in change for change in changes[: len(tallies[who].seconds)])
        return f"{answer['count']} values were found, of {right}" if answer["count"] != right else None

    with setting.contest("attributes", "full") as contest:
        steps = [
            Ask("change", {"session": "small", "changes": chunk}, len(chunk))
            for chunk in chunks(changes, setting.sizes.chunk)
        ]
        tallies = contest.phase(steps)
        contest.weigh(tallies, "small")
        contest.check(tallies, "small", lambda done: workloads.after_changes(changes[:done]))
        title = "20 small attributes, one of which changes at a time, FULL"
        yield table(contest, tallies, "attributes", title, step="change", count=len(changes))

        history = Ask("history", {"session": "small", "attribute": name}, check=found)
        reads = setting.sizes.reads
        histories = contest.phase([history] * reads, of=tallies)
        title = f"All values that one of 20 attributes had, among {len(changes):,} changes"
        yield table(contest, histories, "attribute-history", title, step="history", count=reads)


def sessions(setting: Setting) -> Iterator[Table]:
    """Many sessions of a few turns each."""
    turns = workloads.plain_turns(setting.seed, FEW)
    names = [f"session {number}" for number in range(setting.sizes.sessions)]
    with setting.contest("sessions", "full") as contest:
        # Whole sessions, so that a contestant that stops has whole ones.
        tallies = contest.phase(Ask("turns", {"session": name, "turns": turns}, FEW) for name in names)
        contest.weigh(tallies, names[0])
        contest.check(tallies, names[0], lambda done: workloads.after(turns[:done]))
        title = f"{len(names):,} sessions of {FEW} turns, FULL"
        yield table(contest, tallies, "sessions", title, step="turn", count=FEW * len(names))


def streaming(setting: Setting) -> Iterator[Table]:
    """A text that grows by a token at a time, kept on its way, or as a whole."""
    vocabulary = workloads.Vocabulary(random.Random(setting.seed))
    count, repeats = setting.sizes.tokens, setting.sizes.repeats
    commits = -(-count // EVERY)
    growing = [vocabulary.tokens(count) for _ in range(repeats)]
    with setting.contest("streaming", "full") as contest:
        steps = [
            Ask("stream", {"session": f"stream {number}", "texts": tokens, "every": EVERY}, commits)
            for number, tokens in enumerate(growing)
        ]
        tallies = contest.phase(steps)
        contest.weigh(tallies, "stream 0")
        contest.check(tallies, "stream 0", lambda _done: workloads.after_texts(["".join(growing[0])]))
        size = sum(map(len, map("".join, growing))) // repeats
        title = f"{repeats} texts of {count:,} tokens ({size:,} bytes), kept every {EVERY} tokens, FULL"
        yield table(contest, tallies, "streaming", title, step="commit", count=commits * repeats)

    texts = [vocabulary.tokens(max(count // 20, 1)) for _ in range(setting.sizes.texts)]
    with setting.contest("streaming whole", "full") as contest:
        steps = [Ask("stream", {"session": "stream", "texts": text, "every": len(text)}) for text in texts]
        tallies = contest.phase(steps)
        contest.weigh(tallies, "stream")
        contest.check(tallies, "stream", lambda done: workloads.after_texts(map("".join, texts[:done])))
        title = f"Texts of {len(texts[0]):,} tokens, growing by a token at a time, kept at their end, FULL"
        yield table(contest, tallies, "streaming-whole", title, step="text", count=len(texts))


def tasks(setting: Setting) -> Iterator[Table]:
    """Concurrent tasks, each in a session of its own."""
    sizes = setting.sizes
    turns = workloads.plain_turns(setting.seed, sizes.task_turns)
    commits = sizes.tasks * len(turns)
    for durability in ("full", "normal"):
        with setting.contest(f"tasks {durability}", durability) as contest:
            steps = []
            for number in range(sizes.repeats):
                names = [f"task {number} {task}" for task in range(sizes.tasks)]
                steps.append(Ask("tasks", {"sessions": names, "turns": turns}, share=commits))
            tallies = contest.phase(steps)
            for name in ("task 0 0", f"task 0 {sizes.tasks - 1}"):
                contest.check(tallies, name, lambda _done: workloads.after(turns))
            title = f"{sizes.tasks} concurrent tasks, {len(turns)} turns each, {durability.upper()}"
            yield table(contest, tallies, f"tasks-{durability}", title, step="turn", count=sizes.repeats)


def append(setting: Setting) -> Iterator[Table]:
    """Many small events in one commit."""
    count = setting.sizes.batches
    with setting.contest("append", "normal") as contest:
        steps = [
            Ask("append", {"session": "events", "batches": chunk}, len(chunk), share=BATCH)
            for chunk in chunks([BATCH] * count, setting.sizes.chunk)
        ]
        tallies = contest.phase(steps)
        contest.weigh(tallies, "events")
        title = f"{BATCH} small events a commit, NORMAL"
        yield table(contest, tallies, "append", title, step="event", count=count)


def events(setting: Setting) -> Iterator[Table]:
    """A file that grows to very many events, in sessions of 10,000 each."""
    total, size, reads = setting.sizes.events, SESSION_EVENTS, setting.sizes.reads
    marks = [mark for mark in (size * 10**power for power in range(10)) if mark <= total]
    commits, latest = [], []
    with setting.contest("events", "normal", ("eventstate", "apsw")) as contest:
        done = 0
        for mark in marks:
            last = mark // size - 1
            contest.phase((_session(number, 1000) for number in range(done, last)), budget=math.inf)
            commits.append(contest.phase([_session(last, BATCH)]))
            read = Ask("latest", {"session": f"session {last}"})
            latest.append(contest.phase([read] * reads, of=commits[-1]))
            done = last + 1
        contest.weigh(commits[-1], "session 0")
        title = f"{BATCH} small events a commit, in a file that grows to {total:,} events, NORMAL"
        count = size // BATCH
        yield joined(
            marks, [table(contest, each, "events", title, step="commit", count=count) for each in commits]
        )
        title = f"The latest state of a session, in a file that grows to {total:,} events"
        yield joined(
            marks, [table(contest, each, "events-latest", title, step="read", count=reads) for each in latest]
        )


def _session(number: int, batch: int) -> Step:
    """Fill a session of the biggest file."""
    batches = [batch] * (SESSION_EVENTS // batch)
    return Ask("append", {"session": f"session {number}", "batches": batches}, len(batches))


CONTESTS: dict[str, Callable[[Setting], Iterator[Table]]] = {
    "recorded": recorded,
    "growing": growing,
    "reading": reading,
    "attributes": attributes,
    "sessions": sessions,
    "streaming": streaming,
    "tasks": tasks,
    "append": append,
    "events": events,
}
"""By name, in the order of a run."""
