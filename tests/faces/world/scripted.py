"""A real ReAct agent whose model plays a script, with a tool that can be made to wait."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

_agents = importlib.import_module("agentscope.agent")
_formatters = importlib.import_module("agentscope.formatter")
_memories = importlib.import_module("agentscope.memory")
_messages = importlib.import_module("agentscope.message")
_models = importlib.import_module("agentscope.model")
_tools = importlib.import_module("agentscope.tool")

Message = _messages.Msg
InMemoryMemory = _memories.InMemoryMemory
Toolkit = _tools.Toolkit
ToolResponse = _tools.ToolResponse


class _Script:
    """Answers with the blocks of a script, one list a call, and remembers what it was asked."""

    def __init__(self, script: list[list[dict[str, Any]]]) -> None:
        super().__init__("script", False)  # type: ignore[call-arg] # noqa: FBT003 - the model's name; no stream
        self.script = list(script)
        self.asked: list[list[Any]] = []

    async def __call__(self, prompt: list[Any], **_: Any) -> Any:
        self.asked.append(prompt)
        return _models.ChatResponse(content=self.script.pop(0))


class _AsItIs:
    """Gives messages to the model as they are, as plain data."""

    async def format(self, msgs: list[Any]) -> list[dict[str, Any]]:
        return [msg.to_dict() for msg in msgs]


ScriptedModel: Any = type("ScriptedModel", (_Script, _models.ChatModelBase), {})
_Formatter: Any = type("_Formatter", (_AsItIs, _formatters.FormatterBase), {})


def say(text: str) -> dict[str, Any]:
    """One block of text."""
    return {"type": "text", "text": text}


def use(call: str, name: str, **arguments: Any) -> dict[str, Any]:
    """One block in which a tool is called."""
    return {"type": "tool_use", "id": call, "name": name, "input": arguments}


class Desk:
    """The tools: one that answers at once, one that waits until it may go on."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    async def look_up(self, key: str) -> Any:
        """Look a word up.

        Args:
            key (str): The word.
        """
        return ToolResponse(content=[say(f"{key} is known")])

    async def dig(self, depth: int) -> Any:
        """Dig for a long time.

        Args:
            depth (int): How deep.
        """
        self.waiting.set()
        await self.go_on.wait()
        return ToolResponse(content=[say(f"dug {depth} deep")])


def make_toolkit(desk: Desk) -> Any:
    """Make a toolkit with the desk's tools, and two groups of which one is active."""
    toolkit = Toolkit()
    toolkit.register_tool_function(desk.look_up)
    toolkit.register_tool_function(desk.dig)
    toolkit.create_tool_group("maps", description="Maps.", active=True)
    toolkit.create_tool_group("boats", description="Boats.", active=False)
    return toolkit


def make_agent(model: Any, toolkit: Any) -> Any:
    """Make the agent anew, as a program does at its start."""
    agent = _agents.ReActAgent(
        name="Scout", sys_prompt="You scout.", model=model, formatter=_Formatter(), toolkit=toolkit
    )
    agent.set_console_output_enabled(False)
    return agent
