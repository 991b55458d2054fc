"""``admission: {elsewhere: …}``: a policy that extends another can only be stricter."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.policy import Policy, load_policy
from lamslsa.policy.explain import explain

BASE = Path(__file__).parents[2] / "vectors" / "policy" / "base"
IN_POD = "admission: {elsewhere: verifyInPod}\n"
REFUSE = "admission: {elsewhere: refuse}\n"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Policy]:
    """A policy with some lines more, which extends others with some lines more."""
    for file in BASE.iterdir():
        shutil.copy(file, tmp_path / file.name)
    text = (BASE / "policy.yaml").read_text()

    def loaded(own: str, *bases: str) -> Policy:
        for number, lines in enumerate(bases):
            named = text.replace("name: census-income", f"name: base-{number}", 1)
            (tmp_path / f"base-{number}.yaml").write_text(named + lines)
        names = ", ".join(f"base-{number}.yaml" for number in range(len(bases)))
        extends = f"extends: [{names}]\n" if bases else ""
        return load_policy((text + own + extends).encode(), source="policy.yaml", directory=tmp_path)

    return loaded


@pytest.mark.parametrize(
    ("own", "bases", "admits"),
    [
        ("", (), False),
        (REFUSE, (), False),
        (IN_POD, (), True),
        (IN_POD, (IN_POD,), True),
        (IN_POD, ("",), False),
        (IN_POD, (IN_POD, REFUSE), False),
        ("", (IN_POD,), False),
        (REFUSE, (IN_POD,), False),
    ],
)
def test_all_of_them_have_to_say_so(
    own: str, bases: tuple[str, ...], admits: bool, load: Callable[..., Policy]
) -> None:
    assert load(own, *bases).admits_elsewhere is admits


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("admission: {elsewhere: admit}\n", "yaml-choice"),
        ("admission: {elsewhere: true}\n", "yaml-type"),
        ("admission: {}\n", "yaml-missing-key"),
        ("admission: {elsewhere: refuse, elsewere: verifyInPod}\n", "yaml-unknown-key"),
    ],
)
def test_what_is_not_understood_is_refused(lines: str, reason: str, load: Callable[..., Policy]) -> None:
    with pytest.raises(FormatError) as caught:
        load(lines)
    assert caught.value.reason == reason


def test_in_words(load: Callable[..., Policy]) -> None:
    def said(policy: Policy) -> list[str]:
        return [item.text for section in explain(policy) for item in section.items if item.key == "elsewhere"]

    assert said(load("")) == said(load(REFUSE)) == []
    assert said(load(IN_POD)) == ["It verifies a copy of them in their Pod, before what serves them starts."]
    assert said(load(IN_POD, "")) == ["It refuses them: base-0, which this policy extends, does."]
