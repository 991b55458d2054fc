"""A Sigstore on loopback for the tests of signing."""

from lamslsa.testing.fixtures import faulty_sigstore, local_sigstore

__all__ = ["faulty_sigstore", "local_sigstore"]
