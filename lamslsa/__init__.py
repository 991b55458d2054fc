"""lamslsa: checkable claims about ML models, from dataset to deployment.

`verify` and `load_verified` are those of `lamslsa.api`. They are found when they are asked for, so that what runs in
a TEE imports nothing of what verifies.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "load_verified", "verify"]


def __getattr__(name: str) -> Any:
    if name in {"load_verified", "verify"}:
        return getattr(importlib.import_module("lamslsa.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
