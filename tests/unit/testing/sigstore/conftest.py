"""The fixtures that users get."""

from __future__ import annotations

from lamslsa.testing.fixtures import faulty_sigstore, local_sigstore

__all__ = ["faulty_sigstore", "local_sigstore"]
