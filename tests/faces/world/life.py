"""The processes of an agent's life: `python -m tests.faces.world.life FILE interrupted|killed|after`.

The first is interrupted while a tool runs, saves, and is killed; or it saves, and is killed while a tool
runs. The second knows nothing but the file. Each tells on its standard output, in JSON, what it saw.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from eventstate.services.event_session import EventSession
from tests.faces.world.scripted import Desk, Message, ScriptedModel, make_agent, make_toolkit, say, use

SESSION = ("trip", "alice")


def _tell(**seen: Any) -> None:
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()


async def interrupted(path: str) -> None:
    """Be interrupted mid-tool, save, and be killed."""
    desk = Desk()
    toolkit = make_toolkit(desk)
    script = [[say("I look."), use("c1", "look_up", key="cave")], [use("c2", "dig", depth=3)]]
    agent = make_agent(ScriptedModel(script), toolkit)
    toolkit.update_tool_groups(["boats"], active=True)
    running = asyncio.create_task(agent(Message("alice", "Find the cave", "user")))
    await desk.waiting.wait()
    await agent.interrupt()
    answer = await running
    held = EventSession(path)
    await held.save_session_state(*SESSION, agent=agent, toolkit=toolkit)
    _tell(answer=answer.to_dict(), agent=agent.state_dict(), toolkit=toolkit.state_dict())
    os.kill(os.getpid(), signal.SIGKILL)


async def killed(path: str) -> None:
    """Save after a turn, and be killed mid-tool in the next."""
    desk = Desk()
    toolkit = make_toolkit(desk)
    agent = make_agent(ScriptedModel([[say("I am here.")], [use("c1", "dig", depth=3)]]), toolkit)
    await agent(Message("alice", "Are you there?", "user"))
    await EventSession(path).save_session_state(*SESSION, agent=agent, toolkit=toolkit)
    _tell(agent=agent.state_dict(), toolkit=toolkit.state_dict())
    running = asyncio.create_task(agent(Message("alice", "Dig", "user")))
    await desk.waiting.wait()
    assert not running.done()
    os.kill(os.getpid(), signal.SIGKILL)


async def after(path: str) -> None:
    """Load what the other left, continue, save."""
    desk = Desk()
    desk.go_on.set()
    toolkit = make_toolkit(desk)
    model = ScriptedModel([[use("c3", "dig", depth=3)], [say("Found it.")]])
    agent = make_agent(model, toolkit)
    async with EventSession(path) as held:
        await held.load_session_state(*SESSION, allow_not_exist=False, agent=agent, toolkit=toolkit)
        loaded = {"agent": agent.state_dict(), "toolkit": toolkit.state_dict()}
        answer = await agent(Message("alice", "Go on", "user"))
        await held.save_session_state(*SESSION, agent=agent, toolkit=toolkit)
        _tell(loaded=loaded, answer=answer.to_dict(), asked=model.asked, agent=agent.state_dict())


if __name__ == "__main__":
    parts = {"interrupted": interrupted, "killed": killed, "after": after}
    asyncio.run(parts[sys.argv[2]](sys.argv[1]))
