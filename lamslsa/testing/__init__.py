"""Fakes with real cryptography, for tests of lamslsa and of what is built on it."""
