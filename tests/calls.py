"""Counting what Python code does, which a busy machine does not change as it changes times."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def calls(run: Callable[[], object]) -> int:
    """Count the calls of functions that a run makes, Python's and C's.

    The garbage collector runs when it likes, and its callbacks would count, so it waits.
    """
    count = 0

    def profile(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    old, collecting = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(old)
        if collecting:
            gc.enable()
    return count
