from __future__ import annotations

import pytest

from lamslsa import errors
from lamslsa.errors import FormatError, LamslsaError, PolicyError, UnavailableError, VerificationError


@pytest.mark.parametrize(
    ("kind", "exit_code"), [(FormatError, 3), (VerificationError, 4), (PolicyError, 5), (UnavailableError, 6)]
)
def test_exit_codes(kind: type[LamslsaError], exit_code: int) -> None:
    error = kind("expected a, got b", reason="some-rule", hint="do c")
    assert error.exit_code == exit_code
    assert (str(error), error.reason, error.hint) == ("expected a, got b", "some-rule", "do c")
    assert issubclass(kind, LamslsaError)


def test_a_hint_may_be_absent_and_a_reason_may_not() -> None:
    assert LamslsaError("x", reason="y").hint is None
    with pytest.raises(TypeError):
        LamslsaError("x")  # type: ignore[call-arg] # what is under test


def test_no_error_counts_as_another() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if name != "LamslsaError"]
    assert len(kinds) == 4
    assert not [(one, two) for one in kinds for two in kinds if one is not two and issubclass(one, two)]
    assert not issubclass(LamslsaError, (ValueError, OSError))
