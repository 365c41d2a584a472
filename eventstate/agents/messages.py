"""What an agent says: messages, which are dicts or objects with `id`, `name` and `content`."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.agents.streaming import QUEUE_SIZE, Outlet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_LOG: Final = logging.getLogger("eventstate.agents")

_REMEMBERED: Final = 64
"""Messages of which the last part has not come yet, at most; older ones would be printed anew."""
_SILENT: Final = frozenset({"image", "video", "audio"})


def part(value: Any, name: str, default: Any = None) -> Any:
    """Give a part of a message or of a block of it, which are dicts or objects."""
    return value.get(name, default) if isinstance(value, dict) else getattr(value, name, default)


def shared(message: Any) -> Any:
    """Give a copy of a message, or of each in a list, without what its author thought."""
    copied = copy.deepcopy(message)
    for each in copied if isinstance(copied, list) else [copied]:
        content = part(each, "content")
        if isinstance(content, list):
            spoken = [block for block in content if part(block, "type") != "thinking"]
            if len(spoken) == len(content):
                continue
            if isinstance(each, dict):
                each["content"] = spoken
            else:
                each.content = spoken
    return copied


class Console:
    """Prints messages that come in parts: of each only what is new.

    Args:
        stream: where to; what is `sys.stdout` at that moment if `None`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.enabled = True
        self._stream = stream
        self._printed: OrderedDict[Any, str] = OrderedDict()
        self._line: Any = None
        """The message whose line has not ended."""

    def show(self, message: Any, *, last: bool) -> None:
        """Print what is new of a message; its line ends with its last part.

        Args:
            message: all of it that is there until now.
            last: whether nothing comes any more.
        """
        if not self.enabled:
            return
        key = part(message, "id")
        text, before = _text(message, last=last), self._printed.pop(key, "")
        new = text.removeprefix(before) if text.startswith(before) else f"\n{text}"
        if self._line is not None and self._line != (key,) and new:
            new = f"\n{new}"
        if new:
            self._line = (key,)
        if not last:
            self._printed[key] = text
            if len(self._printed) > _REMEMBERED:
                self._printed.popitem(last=False)
        elif text:
            new += "" if text.endswith("\n") else "\n"
            self._line = None
        if new:
            stream = self._stream if self._stream is not None else sys.stdout
            stream.write(new)
            stream.flush()


def _text(message: Any, *, last: bool) -> str:
    """Write a message: a line or more for each block; what is no text only with the last part."""
    name, content = part(message, "name"), part(message, "content")
    lines = []
    for block in content if isinstance(content, list) else [{"type": "text", "text": content or ""}]:
        kind = part(block, "type")
        if kind == "text":
            lines.append(f"{name}: {part(block, 'text', '')}")
        elif kind == "thinking":
            lines.append(f"{name}(thinking): {part(block, 'thinking', '')}")
        elif last and kind not in _SILENT:
            plain = block if isinstance(block, dict) else vars(block)
            lines.append(f"{name}: {json.dumps(plain, ensure_ascii=False, default=repr)}")
    return "\n".join(lines)


class Voice(NamedTuple):
    """By which ways an agent is heard."""

    console: Console
    outlet: Outlet
    subscribers: dict[str, list[Any]]


class Speaking:
    """The half of an agent that is heard: it prints messages, and tells its replies to subscribers."""

    _voice: Voice

    async def print(self, msg: Any, last: bool = True, speech: Any = None) -> None:  # noqa: FBT001, FBT002 - the original's
        """Show a message, or what there is of it: put it into the queue if that is enabled, and print it.

        While the queue is full this waits: for a reader, or for the queue to be disabled.

        Args:
            msg: a dict or an object with `id`, `name` and `content`; of one that was printed before, by its
                id, only what is new is printed.
            last: whether it is whole now.
            speech: goes into the queue with it.
        """
        await self._voice.outlet.put(msg, last, speech)
        self._voice.console.show(msg, last=last)

    def set_console_output_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - the original's
        """Say whether messages are printed to the console."""
        self._voice.console.enabled = enabled

    @property
    def msg_queue(self) -> asyncio.Queue[Any] | None:
        """Where printed messages go, as `(message, last, speech)`; `None` if that is not enabled."""
        return self._voice.outlet.queue

    def set_msg_queue_enabled(self, enabled: bool, queue: asyncio.Queue[Any] | None = None) -> None:  # noqa: FBT001 - the original's
        """Say whether printed messages go into a queue; who prints waits while that is full.

        Args:
            enabled: if not, prints that wait go on.
            queue: which one; the one there is, or else one with room for 100, if `None`.
        """
        if enabled and queue is None:
            queue = asyncio.Queue(QUEUE_SIZE) if self.msg_queue is None else self.msg_queue
        self._voice.outlet.turn(queue if enabled else None)

    def reset_subscribers(self, msghub_name: str, subscribers: Sequence[Any]) -> None:
        """Say who is told this agent's replies, through `observe`, in place of whom that hub named before.

        The agent itself is left out.
        """
        self._voice.subscribers[msghub_name] = [agent for agent in subscribers if agent is not self]

    def remove_subscribers(self, msghub_name: str) -> None:
        """Tell those that a hub named nothing any more; a warning is logged if it named nobody."""
        if self._voice.subscribers.pop(msghub_name, None) is None:
            _LOG.warning("%r has no subscribers of a hub named %r", self, msghub_name)

    async def _broadcast(self, message: Any) -> None:
        """Tell a message to all subscribers; what they raise comes out when all of them were told."""
        errors: list[Exception] = []
        for subscribers in list(self._voice.subscribers.values()):
            for subscriber in subscribers:
                try:
                    await subscriber.observe(shared(message))
                except Exception as error:  # noqa: BLE001 - the others are told all the same
                    errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup(f"{self!r}: {len(errors)} subscribers failed", errors)
