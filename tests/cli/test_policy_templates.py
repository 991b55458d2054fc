"""The policies that people can start from: each is rehearsed, and its cases come out as they must."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lamslsa import _yaml
from lamslsa.policy.opening import open_policy
from tests.loading import load_script

POLICIES = Path(__file__).parents[2] / "policies"
NAMES = ["census-income", "confidential-data", "eu-ai-act-annex-iv", "hub-model", "quantized-release"]
# A base model that is not listed is refused under lineage, and a transform that does not qualify under training.
UNEXERCISED = {"hub-model": ["base model: hub-base"], "quantized-release": ["transform"]}
Cli = Any


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a rehearsal, by the name of its policy; each is made once."""
    module, folder = load_script(POLICIES / "rehearse.py", "rehearse"), tmp_path_factory.mktemp("rehearsals")

    def make(name: str) -> Path:
        place: Path = folder / name
        if not place.exists():
            module.rehearse(name, place)
        return place

    return make


def test_every_rehearsal_is_tested() -> None:
    assert sorted(load_script(POLICIES / "rehearse.py", "rehearse").REHEARSALS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_come_out_as_they_must(cli: Cli, rehearsed: Any, name: str) -> None:
    """Each rule is among those that some case shows to refuse, but for what refuses as something else first."""
    code, document, err = cli("policy", "test", rehearsed(name) / "policy.yaml")
    assert (code, [case for case in document["cases"] if not case["asExpected"]], err) == (0, [], "")
    assert len(document["cases"]) == len(list((POLICIES / name / "cases").iterdir()))
    assert document["unexercised"] == UNEXERCISED.get(name, [])


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_lints_and_is_valid_under_its_schema(cli: Cli, rehearsed: Any, name: str) -> None:
    place = rehearsed(name) / "policy.yaml"
    code, document, err = cli("policy", "lint", place)
    assert code == 0, (document, err)
    schema = json.loads((POLICIES / "policy.schema.json").read_text())
    assert (
        list(jsonschema.Draft202012Validator(schema).iter_errors(_yaml.loads(place.read_bytes(), source="p").plain()))
        == []
    )


@pytest.mark.parametrize("name", NAMES)
def test_hardware_is_what_the_template_asks_for_elsewhere(rehearsed: Any, name: str) -> None:
    platforms = open_policy(str(rehearsed(name) / "policy.yaml")).policy.platforms
    assert (platforms["rehearsal"].simulated, platforms["production"].simulated) == (True, False)
    assert not any(terms.unsafe_any_measurement or terms.unsafe_as_of_only for terms in platforms.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_simulated_model_is_refused_where_hardware_is_asked_for(cli: Cli, rehearsed: Any, name: str) -> None:
    place = rehearsed(name)
    text = (place / "policy.yaml").read_text().replace("platform: rehearsal", "platform: production")
    (place / "hardware.yaml").write_text(text)
    case = place / "hardware" / "accepted"
    shutil.copytree(place / "cases" / "accepted", case)
    expected = "expect: {rule: training, reason: platform-simulated}"
    (case / "case.yaml").write_text((case / "case.yaml").read_text().replace("expect: accepted", expected))
    code, document, _ = cli("policy", "test", place / "hardware.yaml", "--cases", place / "hardware")
    (only,) = document["cases"]
    assert (code, only["asExpected"]) == (5, True), "5, since no case is accepted"


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_has_every_rule_and_every_value_to_fill_in(rehearsed: Any, name: str) -> None:
    readme = (POLICIES / name / "README.md").read_text()
    policy = open_policy(str(rehearsed(name) / "policy.yaml")).policy
    assert [rule.name for rule in policy.require if f"`{rule.name}`" not in readme] == []
    values = set(re.findall(r"@[A-Z]+@", (POLICIES / name / "policy.yaml.in").read_text()))
    assert [value for value in sorted(values) if f"`{value}`" not in readme] == []
    assert f"python policies/rehearse.py {name} build/{name}" in readme


def test_the_table_of_annex_iv_has_every_letter() -> None:
    readme = (POLICIES / "eu-ai-act-annex-iv" / "README.md").read_text()
    rows = re.findall(r"^\| 2\(([a-h])\) \|.*\|.*\|$", readme, re.MULTILINE)
    assert sorted(set(rows)) == list("abcdefgh")
    unanswered = {row[0] for row in re.findall(r"^\| 2\(([a-h])\) \|.*(not machine-checkable)", readme, re.MULTILINE)}
    assert unanswered >= set("efh")
