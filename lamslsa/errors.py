"""The error tree, and with it the exit codes of the command line.

Every refusal carries three texts: ``reason``, a stable kebab-case word that scripts and tests can compare;
the message, lower case, in the form "expected X, got Y"; and a ``hint`` that says what to do about it.

    LamslsaError
    ├ FormatError        3   these bytes are not what they claim to be
    ├ VerificationError  4   signature, evidence, binding or lineage is not authentic, or is missing
    ├ PolicyError        5   authentic, and refused by the policy
    └ UnavailableError   6   TEE, collateral or signing service could not be reached; the only one worth retrying

>>> error = FormatError("expected a JSON object, got a list", reason="json-type", hint="wrap it in {}")
>>> error.exit_code, error.reason, str(error)
(3, 'json-type', 'expected a JSON object, got a list')
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["FormatError", "LamslsaError", "PolicyError", "UnavailableError", "VerificationError"]


class LamslsaError(Exception):
    """Base of every error that this package raises on purpose; anything else is a bug.

    Args:
        message: what was expected and what was found; lower case, no full stop.
        reason: stable kebab-case identifier of the rule that refused.
        hint: what the reader can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.hint = hint


class FormatError(LamslsaError):
    """These bytes are not what they claim to be."""

    exit_code = 3


class VerificationError(LamslsaError):
    """A signature, evidence, binding or lineage is not authentic, or is missing."""

    exit_code = 4


class PolicyError(LamslsaError):
    """Authentic, and refused by the policy."""

    exit_code = 5


class UnavailableError(LamslsaError):
    """A TEE, collateral or a service could not be reached; the only error that is worth retrying."""

    exit_code = 6
