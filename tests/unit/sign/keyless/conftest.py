"""A Sigstore of its own for the session, and the same one for tests that let it lie."""

from lamslsa.testing.fixtures import faulty_sigstore, local_sigstore

__all__ = ["faulty_sigstore", "local_sigstore"]
