"""What is done in the benchmarks: seeded, or from recorded conversations; and how much of it."""

from __future__ import annotations

import json
import random
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.contestant import SMALL_ATTRIBUTES, Answer, seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus" / "airline-sessions.jsonl"
"""Recorded conversations, in a checkout that has them beside it."""

Turn = dict[str, Any]
"""A `message`, and the attributes to `set`."""

# The mean lengths in characters of what the recorded conversations have, by role.
_SYSTEM, _USER, _ASSISTANT, _TOOL = 6155, 100, 315, 630


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    recorded: int
    """Recorded conversations."""
    growing: int
    """Turns of the session that grows."""
    reading: int
    """Turns of the session that is read."""
    reads: int
    """How often each way of reading is taken."""
    changes: int
    """Commits that change small attributes."""
    sessions: int
    """Sessions of a few turns each."""
    tokens: int
    """Tokens of the text that grows by a token at a time."""
    texts: int
    """Texts of a twentieth of those tokens, each kept with one commit."""
    tasks: int
    """Concurrent tasks."""
    task_turns: int
    """Turns of each."""
    repeats: int
    """How often the tasks are run."""
    batches: int
    """Commits of 100 events."""
    events: int
    """Events of the biggest file."""
    chunk: int
    """Steps of one contestant before it is the next one's turn."""
    budget: float
    """Timed seconds that a peer has for a workload; when they are over it stops where it is."""


FULL = Sizes(
    recorded=100,
    growing=10_000,
    reading=1000,
    reads=30,
    changes=5000,
    sessions=1000,
    tokens=5000,
    texts=100,
    tasks=64,
    task_turns=10,
    repeats=5,
    batches=500,
    events=10_000_000,
    chunk=20,
    budget=60.0,
)
QUICK = Sizes(
    recorded=8,
    growing=300,
    reading=100,
    reads=10,
    changes=200,
    sessions=50,
    tokens=300,
    texts=10,
    tasks=16,
    task_turns=5,
    repeats=3,
    batches=40,
    events=100_000,
    chunk=10,
    budget=1.0,
)


class Vocabulary:
    """Words for texts that compress about as well as what people and models write."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(2000)]

    def text(self, size: int) -> str:
        """Make a text of `size` characters."""
        return " ".join(self._rng.choices(self._words, k=size // 3 + 1))[:size]

    def tokens(self, count: int) -> list[str]:
        """Make the pieces that a model's answer comes in."""
        return [f"{word} " for word in self._rng.choices(self._words, k=count)]


def words(rng: random.Random, size: int) -> str:
    """Make a text of `size` characters out of words of a small vocabulary."""
    return Vocabulary(rng).text(size)


def plain_turns(seed: int, count: int, start: int = 1) -> list[Turn]:
    """Make turns of a 500-character message and three small attributes, numbered from `start`."""
    vocabulary = Vocabulary(random.Random(seed))
    texts = [vocabulary.text(500) for _ in range(64)]
    return [_turn(number, texts[number % 64]) for number in range(start, start + count)]


def _turn(number: int, text: str) -> Turn:
    role = "user" if number % 2 else "assistant"
    message = {"role": role, "content": text}
    return {"message": message, "set": {"turn": number, "last_role": role, "score": number / 7}}


def small_changes(seed: int, count: int) -> list[dict[str, Any]]:
    """Make changes of one of 20 small attributes each, but the first, which sets them all."""
    rng = random.Random(seed)
    values = (
        lambda: rng.randrange(1 << 20),
        rng.random,
        lambda: rng.random() < 0.5,
        lambda: None,
        lambda: rng.choice(("planning", "searching", "waiting", "done")),
    )
    state: dict[str, Any] = {name: number for number, name in enumerate(SMALL_ATTRIBUTES)}
    changes = [dict(state)]
    while len(changes) < count:
        name, value = rng.choice(SMALL_ATTRIBUTES), rng.choice(values)()
        if state[name] != value:
            state[name] = value
            changes.append({name: value})
    return changes


class Recorded(NamedTuple):
    """Conversations, as turns of sessions."""

    sessions: dict[str, list[Turn]]
    source: str
    """Where they come from, for the reader of the results."""


def recorded(seed: int, count: int, corpus: Path = CORPUS) -> Recorded:
    """Give recorded conversations where they are at hand, else generated ones of the same shape."""
    if corpus.is_file():
        with corpus.open(encoding="utf-8") as lines:
            chats = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
        sessions = {f"{chat['user_id']} {chat['session_id']}": chat["messages"] for chat in chats}
        source = f"{len(sessions)} recorded conversations with a tool-calling agent"
    else:
        rng = random.Random(seed)
        vocabulary = Vocabulary(rng)
        sessions = {f"user {number}": list(_chat(rng, vocabulary)) for number in range(count)}
        source = f"{count} generated conversations, as no recorded ones are here"
    return Recorded({name: list(_as_turns(messages)) for name, messages in sessions.items()}, source)


def _chat(rng: random.Random, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
    """Make a conversation as an airline's agent has it: questions, calls of tools, answers."""

    def text(mean: int) -> str:
        return vocabulary.text(max(10, int(rng.expovariate(1 / mean))))

    yield {"role": "system", "content": vocabulary.text(_SYSTEM)}
    for number in range(rng.randint(2, 12)):
        yield {"role": "user", "content": text(_USER)}
        for call in range(rng.choice((0, 0, 1, 1, 2))):
            name, call_id = rng.choice(("get_user", "search", "book")), f"call_{number}_{call}"
            function = {"name": name, "arguments": json.dumps({"query": text(30)})}
            called = {"id": call_id, "type": "function", "function": function}
            yield {"role": "assistant", "content": None, "tool_calls": [called]}
            yield {"role": "tool", "tool_call_id": call_id, "name": name, "content": text(_TOOL)}
        yield {"role": "assistant", "content": text(_ASSISTANT)}


def _as_turns(messages: list[dict[str, Any]]) -> Iterator[Turn]:
    calls = 0
    for number, message in enumerate(messages, 1):
        calls += len(message.get("tool_calls") or ())
        yield {
            "message": message,
            "set": {"turn": number, "last_role": message["role"], "score": calls / number},
        }


def after(turns: Iterable[Turn]) -> Answer:
    """Give what `seen` tells of the state that turns make."""
    messages, attributes = [], {}
    for turn in turns:
        messages.append(turn["message"])
        attributes.update(turn["set"])
    return seen(messages, attributes)


def after_changes(changes: Iterable[dict[str, Any]]) -> Answer:
    """Give what `seen` tells of the state that changes of small attributes make."""
    attributes: dict[str, Any] = {}
    for change in changes:
        attributes.update(change)
    return seen([], attributes)


def after_texts(texts: Iterable[str]) -> Answer:
    """Give what `seen` tells of a session that texts were streamed into."""
    return seen([{"role": "assistant", "content": text} for text in texts], {})
