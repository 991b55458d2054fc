"""A process that is killed by itself, in the middle of what it does to files."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any


def die_at(stage: str) -> None:
    """Have this process killed where it calls ``os.fsync``, ``os.link`` or ``Path.rename`` for the nth time.

    Args:
        stage: name and n, such as ``fsync:3``.
    """
    name, _, number = stage.partition(":")
    owner: Any = Path if name == "rename" else os
    really, left = getattr(owner, name), int(number)

    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return really(*arguments, **keywords)

    setattr(owner, name, counted)
