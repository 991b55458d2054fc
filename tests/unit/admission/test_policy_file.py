"""The policy of the moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamslsa.admission.policy_file import PolicyFile
from lamslsa.errors import FormatError, PolicyError
from lamslsa.policy.opening import open_policy
from tests.unit.admission.conftest import Place
from tests.unit.admission.serving import now


def watched(path: Path) -> PolicyFile:
    return PolicyFile(path, lambda: open_policy(str(path)), now=now)


def test_nothing_is_read_anew_while_nothing_changes(place: Place) -> None:
    policy = watched(place.policy_path)
    first = policy.current
    assert not policy.refresh()
    assert policy.current is first


def test_a_policy_that_changes_is_taken(place: Place) -> None:
    policy = watched(place.policy_path)
    first = policy.current.closure
    place.policy_path.write_text(place.policy_path.read_text() + "# another\n")
    assert policy.refresh()
    assert policy.current.closure != first
    assert not policy.refresh()


def test_a_file_that_the_policy_names_is_watched(place: Place) -> None:
    policy = watched(place.policy_path)
    first = policy.current.closure
    folder = place.policy_path.parent
    (folder / "auditor.pub").write_bytes((folder / "trainer.pub").read_bytes())
    (folder / "auditor.pub").write_bytes(b"rubbish")
    with pytest.raises(FormatError):
        policy.refresh()
    assert policy.current.closure == first


def test_one_that_is_gone_or_rubbish_leaves_the_old_one(place: Place) -> None:
    policy = watched(place.policy_path)
    first, text = policy.current, place.policy_path.read_text()
    place.policy_path.write_text("rubbish: [")
    with pytest.raises(FormatError):
        policy.refresh()
    place.policy_path.unlink()
    with pytest.raises((OSError, FormatError)):
        policy.refresh()
    assert policy.current is first
    place.policy_path.write_text(text)
    assert not policy.refresh()


def test_one_with_an_error_of_lint_leaves_the_old_one(place: Place) -> None:
    policy = watched(place.policy_path)
    first = policy.current
    text = place.policy_path.read_text()
    place.policy_path.write_text(text.replace("expires: 2027-06-30", "expires: 2020-06-30"))
    with pytest.raises(PolicyError) as caught:
        policy.refresh()
    assert caught.value.reason == "policy-lint"
    assert "expired" in str(caught.value)
    assert policy.current is first
    with pytest.raises(PolicyError):
        watched(place.policy_path)
