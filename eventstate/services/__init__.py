"""What AgentScope calls for keeping state, on the journal; nothing here imports it."""

from __future__ import annotations

from eventstate.services.event_session import EventSession
from eventstate.services.state_service import StateService, register

__all__ = ["EventSession", "StateService", "register"]
