"""What each format promises: its form, that nothing but an acceptance reads as one, and that text stays text."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import pytest

from lamslsa import statement, verification
from lamslsa.errors import PolicyError
from lamslsa.policy import Appraisal
from lamslsa.policy.appraisal import Planned
from lamslsa.predicates import VerificationSummary
from lamslsa.predicates import parse as parse_predicate
from lamslsa.reports import FORMATS, STATEMENTS, SUMMARIES, About, Format, FromArchive, render
from lamslsa.reports import json as documents
from lamslsa.reports.document import AppraisalDocument
from lamslsa.verification import VerifiedPlan

REFERENCE = "oci://registry.example/census@sha256:" + "1" * 64
_XML = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def shown(appraisal: Appraisal, word: Format, **about: Any) -> str:
    return render(appraisal, format=word, about=About(**about)).decode()


def parsed(appraisal: Appraisal, word: Format, **about: Any) -> Any:
    return json.loads(shown(appraisal, word, **about))


def suite(appraisal: Appraisal) -> ET.Element:
    root = ET.fromstring(shown(appraisal, "junit"))
    (found,) = root
    assert root.attrib.items() >= {name: found.attrib[name] for name in ("tests", "failures", "errors")}.items()
    return found


# text


def test_colour_is_on_a_terminal_only(refused: Appraisal, accepted: Appraisal) -> None:
    assert "\x1b" not in shown(refused, "text")
    coloured = shown(refused, "text", colour=True)
    assert "\x1b[31m\x1b[1mREFUSED\x1b[0m" in coloured
    assert "\x1b[32m\x1b[1mok\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == shown(refused, "text")
    assert shown(accepted, "text", colour=True).splitlines()[-1].startswith("\x1b[32m")


def test_hostile_text_brings_no_line_and_no_escape(hostile: Appraisal) -> None:
    text = shown(hostile, "text")
    assert not set(text) & set("\x00\x1b\u202e\ufffe")
    assert "REFUSED under" in text.splitlines()[-1]
    assert not any(line.startswith("x") for line in text.splitlines())


def test_what_was_read_is_said(accepted: Appraisal) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    archive = FromArchive(sha256="7" * 64, exported_at=now, own_policy=True, as_exported=False)
    text = shown(accepted, "text", files_read=False, archive=archive)
    assert "(its manifest; no file was read)" in text
    assert f"archive sha256:{'7' * 64}" in text
    assert "its manifest was read" in shown(accepted, "markdown", files_read=False)
    assert "7" * 64 in shown(accepted, "markdown", archive=archive)
    document = parsed(accepted, "json", files_read=False, archive=archive)
    assert document["model"]["filesRead"] is False
    assert document["archive"] == {
        "sha256": "7" * 64,
        "exportedAt": "2026-01-01T00:00:00Z",
        "ownPolicy": True,
        "asExported": False,
    }


# json


def faults(value: Any, schema: Any, root: Any, path: str = "$") -> Iterator[str]:
    """What of a value breaks a schema of draft 2020-12, as far as ours goes; an unknown keyword is a fault too."""
    for word, asked in schema.items():
        match word:
            case "$ref":
                yield from faults(value, root["$defs"][asked.removeprefix("#/$defs/")], root, path)
            case "anyOf":
                if not any(not list(faults(value, each, root, path)) for each in asked):
                    yield f"{path}: none of anyOf"
            case "type":
                kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
                number = {"integer": int, "number": (int, float)}
                if asked in kinds:
                    good = isinstance(value, cast("Any", kinds[asked]))
                else:
                    good = isinstance(value, cast("Any", number[asked])) and not isinstance(value, bool)
                if not good:
                    yield f"{path}: no {asked}"
            case "enum":
                if value not in asked:
                    yield f"{path}: {value!r} not in enum"
            case "required":
                yield from (f"{path}: no {name}" for name in asked if name not in value)
            case "properties":
                for name, inner in asked.items():
                    if name in value:
                        yield from faults(value[name], inner, root, f"{path}.{name}")
            case "items":
                for index, item in enumerate(value):
                    yield from faults(item, asked, root, f"{path}[{index}]")
            case "pattern":
                if isinstance(value, str) and not re.search(asked, value):
                    yield f"{path}: {value!r} does not match"
            case "title" | "description" | "$schema" | "$id" | "$defs" | "default":
                pass
            case _:
                yield f"{path}: unknown keyword {word}"


@pytest.mark.parametrize("which", ["accepted", "refused", "hostile", "empty"])
def test_documents_fit_the_schema(which: str, request: pytest.FixtureRequest) -> None:
    made = shown(request.getfixturevalue(which), "json")
    schema = documents.schema()
    assert list(faults(json.loads(made), schema, schema)) == []
    msgspec.json.decode(made, type=AppraisalDocument, strict=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("apiVersion", "lamslsa.dev/appraisal/v2"), ("accepted", "yes"), ("exitCode", 1), ("model", {}), ("now", "today")],
)
def test_the_schema_refuses_other_documents(accepted: Appraisal, field: str, value: Any) -> None:
    schema = documents.schema()
    assert list(faults(parsed(accepted, "json") | {field: value}, schema, schema))
    without = {name: item for name, item in parsed(accepted, "json").items() if name != field}
    assert list(faults(without, schema, schema)) == [f"$: no {field}"]


def test_json_is_ascii_and_keeps_every_text(hostile: Appraisal) -> None:
    made = render(hostile, format="json")
    assert made.isascii()
    assert json.loads(made)["rules"][0]["message"] == hostile.rules[0].message
    broken = dataclasses.replace(hostile, model_name="caf\udce9")
    assert json.loads(render(broken, format="json"))["model"]["name"] == "caf\udce9"


# junit


def test_junit_counts_and_cases(refused: Appraisal) -> None:
    found = suite(refused)
    counts = {name: found.attrib[name] for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    cases = {case.attrib["name"]: case for case in found.findall("testcase")}
    failure = cases["fair"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "threshold-missed"
    assert "mend: train a model that is fairer" in (failure.text or "")
    assert cases["no leakage"].find("error") is not None
    assert [each.tag for each in cases["accurate"]] == ["system-out"]


def test_what_was_not_evaluated_never_passes_in_junit(refused: Appraisal) -> None:
    for rule in refused.rules:
        (case,) = suite(dataclasses.replace(refused, rules=(rule,))).findall("testcase")
        good = case.find("failure") is None and case.find("error") is None
        assert good == (rule.outcome == "satisfied")


def test_an_appraisal_without_rules_fails_in_junit(empty: Appraisal) -> None:
    found = suite(empty)
    assert (found.attrib["tests"], found.attrib["failures"]) == ("1", "1")
    assert found.find("testcase/failure") is not None


def test_junit_is_xml_whatever_the_text(hostile: Appraisal) -> None:
    made = shown(hostile, "junit")
    assert _XML.fullmatch(made)
    found = suite(hostile)
    assert {each.tag for each in found.iter()} == {
        *("testsuite", "properties", "property", "testcase", "failure", "system-out"),
    }
    assert "\\x1b" in found.attrib["name"]
    assert "<script>x</script>" in found.attrib["name"]
    assert "\u202e" not in made


# sarif


def test_sarif_has_what_the_specification_requires(refused: Appraisal) -> None:
    """SARIF 2.1.0: 3.13 log, 3.14 run, 3.18 tool, 3.19 driver, 3.27 result, 3.49 rule."""
    log = parsed(refused, "sarif", policy="policies/a b.yaml")
    assert (log["version"], log["$schema"].rpartition("/")[2]) == ("2.1.0", "sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "lamslsa"
    assert [rule["id"] for rule in driver["rules"]] == ["not-evaluated", "threshold-missed"]
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert [invocation["executionSuccessful"] for invocation in run["invocations"]] == [True]
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"], result["level"]) == ("fail", "error")
        assert result["message"]["text"]
        (place,) = result["locations"]
        assert place["physicalLocation"]["artifactLocation"] == {"uri": "policies/a%20b.yaml"}
        assert place["physicalLocation"]["region"] == {"startLine": 1}
        assert re.fullmatch(r"[0-9a-f]{64}", result["partialFingerprints"]["lamslsaRule/v1"])


def test_sarif_has_no_result_for_what_is_satisfied(accepted: Appraisal, refused: Appraisal, empty: Appraisal) -> None:
    assert parsed(accepted, "sarif")["runs"][0]["results"] == []
    names = [
        result["locations"][0]["logicalLocations"][0]["name"]
        for result in parsed(refused, "sarif")["runs"][0]["results"]
    ]
    assert names == ["no leakage", "fair"]
    (result,) = parsed(empty, "sarif")["runs"][0]["results"]
    assert result["ruleId"] == "no-rules"


def test_attested_text_makes_no_link_in_sarif(hostile: Appraisal) -> None:
    (result,) = parsed(hostile, "sarif")["runs"][0]["results"]
    text = result["message"]["text"]
    assert "\\[y\\](javascript:1)" in text
    assert not re.search(r"(?<!\\)[\[\]]", text)
    assert "{{0}}" in text
    assert "\x1b" not in text


# markdown


def test_refusals_come_first_in_markdown(refused: Appraisal) -> None:
    lines = shown(refused, "markdown").splitlines()
    assert lines[0] == "## ❌ Refused: census-mlp"
    rows = [line.split(" | ")[0] for line in lines if line.startswith("| ")][2:]
    assert rows == ["| ❌ refused", "| ❔ not evaluated", "| ✅ satisfied"]
    assert "SIMULATED TEE" in shown(refused, "markdown")


def test_attested_text_is_no_markdown(hostile: Appraisal) -> None:
    made = shown(hostile, "markdown")
    outside = re.sub(r"`[^`\n]*`", "", made)  # nothing in a code span is anything
    assert made.count("`") % 2 == 0
    for mark in ("<", "](", "javascript", "@user", "https:", "evil", "script", "\x1b", "\u202e"):
        assert mark not in outside, mark
    table = [line for line in made.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in table} == {7}
    assert not any(line.startswith("x") for line in made.splitlines())


def _mended(refused: Appraisal, mend: str) -> Appraisal:
    rule = dataclasses.replace(next(rule for rule in refused.rules if rule.reason), mend=mend)
    return dataclasses.replace(refused, rules=(rule,))


def test_lines_to_add_are_lines(refused: Appraisal) -> None:
    found = _mended(refused, "add to ingredients.code:\n- {name: a}\n- {name: b}")
    assert "\n   mend: add to ingredients.code:\n         - {name: a}\n         - {name: b}\n" in shown(found, "text")
    assert "\n    ```yaml\n    - {name: a}\n    - {name: b}\n    ```\n" in shown(found, "markdown")


def test_no_line_to_add_looks_like_ours(refused: Appraisal) -> None:
    found = _mended(refused, "add:\nACCEPTED under census-income\n```\n# Accepted\r# Accepted\x1b[2J")
    lines = shown(found, "text").splitlines()
    assert not any(line.startswith("ACCEPTED") for line in lines)
    assert "         # Accepted\\r# Accepted\\x1b[2J" in lines
    fenced = shown(found, "markdown").split("    ```yaml\n")[1].split("    ```\n")[0].splitlines()
    assert len(fenced) == 3
    assert "`" not in "".join(fenced)


def test_a_long_message_is_kept_in_markdown(refused: Appraisal) -> None:
    rule = dataclasses.replace(refused.rules[2], mend="add: " + "`|" * 300 + "end")
    made = shown(dataclasses.replace(refused, rules=(rule,)), "markdown")
    assert "end`" in made
    assert made.count("`") % 2 == 0


# vsa and svr


def summary(appraisal: Appraisal, **about: Any) -> VerificationSummary:
    found = parse_predicate(statement.parse(render(appraisal, format="vsa", about=About(**about))))
    assert isinstance(found, VerificationSummary)
    return found


def test_a_summary_of_an_acceptance(accepted: Appraisal) -> None:
    found = summary(accepted, model=REFERENCE, policy="./p.yaml", verifier="https://deployer.example/v")
    assert (found.passed, found.simulated, found.verifier.id) == (True, True, "https://deployer.example/v")
    assert found.policy.digest.sha256 == accepted.policy_closure
    assert found.policy.uri == "ni:///sha-256;MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM"
    assert found.resource_uri == REFERENCE
    assert found.verified_at == accepted.now
    (item,) = accepted.qualifying
    assert {each.digest.sha256 for each in found.input_attestations} == {item.statement.sha256, "5" * 64}
    parsed_statement = statement.parse(render(accepted, format="vsa"))
    assert [(each.name, each.sha256) for each in parsed_statement.subjects] == [("census-mlp", "1" * 64)]


def test_hardware_is_told_from_simulation(accepted: Appraisal) -> None:
    rules = tuple(dataclasses.replace(rule, simulated=False) for rule in accepted.rules)
    hardware = dataclasses.replace(accepted, rules=rules)
    assert summary(hardware).verified_levels == ("LAMSLSA_INGREDIENTS",)
    assert summary(dataclasses.replace(accepted, rules=(rules[0], accepted.rules[1]))).simulated
    assert parsed(hardware, "svr")["predicate"]["properties"][0] == "LAMSLSA_POLICY_ACCEPTED"
    assert parsed(accepted, "svr")["predicate"]["properties"][0] == "LAMSLSA_POLICY_ACCEPTED_SIMULATED"


def test_a_summary_of_a_refusal(refused: Appraisal, empty: Appraisal) -> None:
    for appraisal in (refused, empty):
        found = summary(appraisal)
        assert (found.passed, found.verified_levels) == (False, ("FAILED",))
        assert len(found.input_attestations) == 2


def test_inputs_are_all_listed_or_none(accepted: Appraisal) -> None:
    signed = dataclasses.replace(accepted.rules[0], kind="signature")
    assert summary(dataclasses.replace(accepted, rules=(signed,))).input_attestations == ()


def test_inputs_hold_the_plans_that_counted(accepted: Appraisal, refused: Appraisal) -> None:
    def inputs(appraisal: Appraisal) -> set[str]:
        return {item.digest.sha256 for item in summary(appraisal).input_attestations}

    def planned(number: int) -> VerifiedPlan:
        about = dataclasses.replace(evaluation.statement, sha256=f"{number}" * 64)
        return VerifiedPlan(statement=about, predicate=cast("Any", None), signatures=(), seal=verification._SEAL)

    (evaluation,) = accepted.qualifying
    one, other = planned(7), planned(8)
    known = {evaluation.statement.sha256: Planned(plan=one, at=accepted.at)}
    before = inputs(accepted)
    assert inputs(dataclasses.replace(accepted, plans=(one, other))) == before
    assert inputs(dataclasses.replace(accepted, plans=(one, other), planned=known)) == before | {"7" * 64}
    whole = dataclasses.replace(refused, plans=(one, other))
    assert inputs(whole) == inputs(refused) | {"7" * 64, "8" * 64}, "a refusal rests on all that was there"


def test_too_many_inputs_are_not_listed(accepted: Appraisal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamslsa.reports.vsa.MAX_INPUTS", 1)
    assert summary(accepted).input_attestations == ()


@pytest.mark.parametrize(
    "reference",
    [
        "./model",
        "/home/someone/model",
        "C:\\models\\m",
        "hub:/home/someone/cache",
        "https://user:secret@host.example/m",
        "https://host.example/m?token=secret",
        "https:///m",
        "oci://host/é",
    ],
)
def test_nothing_of_this_machine_and_no_secret_gets_out(accepted: Appraisal, reference: str) -> None:
    for word in sorted(SUMMARIES):
        made = shown(accepted, word, model=reference, policy=reference)
        assert "ni:///sha-256;" in made
        assert json.dumps(reference)[1:-1] not in made


def test_a_result_lists_what_holds(accepted: Appraisal) -> None:
    made = parsed(accepted, "svr", verifier="https://deployer.example/v")
    assert made["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
    predicate = made["predicate"]
    assert predicate["verifier"]["id"] == "https://deployer.example/v"
    (policy,) = predicate["verifier"]["policies"]
    assert policy["digest"] == {"sha256": "3" * 64}
    assert predicate["timeCreated"] == "2026-11-22T12:00:00Z"
    assert predicate["properties"][1:] == ["LAMSLSA_RULE:accurate", "LAMSLSA_RULE:training"]


@pytest.mark.parametrize("which", ["refused", "empty", "hostile"])
def test_there_is_no_result_of_a_refusal(which: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(PolicyError) as caught:
        render(request.getfixturevalue(which), format="svr")
    assert caught.value.reason == "svr-refused"


# ear


def status(appraisal: Appraisal) -> tuple[str, dict[str, int]]:
    model = parsed(appraisal, "ear")["submods"]["model"]
    return model["ear_status"], model["ear_trustworthiness_vector"]


def test_an_ear_says_what_was_judged(accepted: Appraisal, refused: Appraisal, empty: Appraisal) -> None:
    hardware = tuple(dataclasses.replace(rule, simulated=False) for rule in accepted.rules)
    bare = tuple(dataclasses.replace(rule, simulated=None) for rule in accepted.rules)
    assert status(accepted) == ("warning", {"sourced-data": 2, "hardware": 32})
    assert status(dataclasses.replace(accepted, rules=hardware)) == ("affirming", {"sourced-data": 2, "hardware": 2})
    assert status(dataclasses.replace(accepted, rules=bare)) == ("affirming", {"sourced-data": 2})
    for appraisal in (refused, empty):
        assert status(appraisal) == ("contraindicated", {"sourced-data": 96})


def test_an_ear_has_the_claims_of_the_draft(refused: Appraisal) -> None:
    made = parsed(refused, "ear", version="1.2")
    assert made["eat_profile"] == "tag:ietf.org,2026:rats/ear#04"
    assert made["iat"] == int(refused.now.timestamp())
    assert made["ear_verifier_id"] == {"developer": "https://lamslsa.dev", "build": "lamslsa 1.2"}
    (model,) = made["submods"].values()
    assert model["ear_verifier_claims"]["model"] == "sha256:" + "1" * 64
    assert model["ear_verifier_claims"]["rules"][2] == {
        "name": "fair",
        "outcome": "refused",
        "reason": "threshold-missed",
    }


# verdicts within


@pytest.fixture
def base(refused: Appraisal) -> Appraisal:
    """Another model, refused under a policy of its own."""
    return dataclasses.replace(refused, model="4" * 64, model_name="base", policy_name="base", policy_closure="8" * 64)


def test_verdicts_within_are_shown_each_once(refused: Appraisal, base: Appraisal) -> None:
    extended = dataclasses.replace(refused, policy_name="company", policy_closure="9" * 64, bases=(base,))
    found = dataclasses.replace(refused, bases=(base,), extended=(extended,))
    text = shown(found, "text")
    assert text.count("within: ") == 2
    assert "within: extends company: REFUSED under company: 1 of 3 rules satisfied (exit code 5)" in text
    assert "within: base model base: REFUSED under base" in text
    markdown = shown(found, "markdown")
    assert "- extends company: `REFUSED under company" in markdown or "- extends company: REFUSED" in markdown
    within = parsed(found, "json")["within"]
    assert [(each["relation"], each["policy"]["name"]) for each in within] == [
        ("extends", "company"),
        ("base-model", "base"),
    ]
    assert [rule["outcome"] for rule in within[1]["rules"]] == ["satisfied", "not-evaluated", "refused"]
    schema = documents.schema()
    assert list(faults(parsed(found, "json"), schema, schema)) == []


def test_each_policy_has_its_suite(refused: Appraisal, base: Appraisal) -> None:
    root = ET.fromstring(shown(dataclasses.replace(refused, bases=(base,)), "junit"))
    assert [each.attrib["name"] for each in root] == ["census-income", "base model base: base"]
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("6", "2", "2")


def test_what_a_summary_made_acceptable_fails_no_acceptance(accepted: Appraisal, base: Appraisal) -> None:
    found = dataclasses.replace(accepted, bases=(base,))
    assert found.accepted
    root = ET.fromstring(shown(found, "junit"))
    assert (len(root), root.attrib["failures"], root.attrib["errors"]) == (1, "0", "0")
    assert parsed(found, "json")["within"][0]["accepted"] is False


def test_inputs_hold_those_of_verdicts_within(accepted: Appraisal, base: Appraisal) -> None:
    (item,) = accepted.qualifying
    good = dataclasses.replace(accepted, model="4" * 64)
    outer = dataclasses.replace(accepted, qualifying=(), bases=(good,))
    assert {each.digest.sha256 for each in summary(outer).input_attestations} == {item.statement.sha256, "5" * 64}
    signed = dataclasses.replace(good, rules=(dataclasses.replace(good.rules[0], kind="signature"),))
    assert summary(dataclasses.replace(outer, bases=(signed,))).input_attestations == ()
    assert summary(dataclasses.replace(outer, bases=(base,))).input_attestations == ()


# all


def test_the_same_appraisal_gives_the_same_bytes(accepted: Appraisal) -> None:
    for word in FORMATS:
        assert render(accepted, format=word) == render(accepted, format=word)


def test_names_that_are_no_unicode_stop_nothing(accepted: Appraisal) -> None:
    rules = tuple(dataclasses.replace(rule, name="r\udce9") for rule in accepted.rules)
    odd = dataclasses.replace(accepted, model_name="m\udce9", policy_name="p\udce9", rules=rules)
    for word in FORMATS:
        assert b"dce9" in render(odd, format=word, about=About(policy="p\udce9.yaml")).lower(), word


def test_statements_are_statements(accepted: Appraisal) -> None:
    def is_statement(word: Format) -> bool:
        try:
            return bool(statement.parse(render(accepted, format=word)))
        except Exception:  # noqa: BLE001 - whatever it is, it is no statement
            return False

    check: Callable[[Format], bool] = is_statement
    assert {word for word in FORMATS if check(word)} == STATEMENTS
