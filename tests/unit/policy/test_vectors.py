"""Every folder of tests/vectors/policy and tests/vectors/lineage."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec
from lamslsa.errors import LamslsaError
from lamslsa.evidence.interface import Claims, DeviceClaims, Standing
from lamslsa.evidence.verify import Freshness
from lamslsa.policy import Appraisal, Policy, load_policy
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry

VECTORS = Path(__file__).parents[2] / "vectors"
CASES = sorted(path.parent for area in ("policy", "lineage") for path in (VECTORS / area).glob("*/case.json"))
_EXTERNAL: list[str | int] = ["predicate", "buildDefinition", "externalParameters"]
_SUBJECT: list[str | int] = ["subject", 0, "digest", "sha256"]
_DEPLOYED = {"model.safetensors": "deployed"}
CLASSES = {0: None, 3: "FormatError", 4: "VerificationError", 5: "PolicyError"}


def _tokens(root: str) -> dict[str, str]:
    return {
        "$TRAIN": chain.TRAIN,
        "$TEST": chain.TEST,
        "$PARENT": chain.PARENT,
        "$MODEL": chain.model().sha256,
        "$DEPLOYED": chain.model(_DEPLOYED).sha256,
        "$SCHEMA": chain.schema_digest(),
        "$MEASUREMENT": chain.claims(root=root).measurement_digest,
        "$GPU_ROOT": root,
    }


def _value(value: Any, tokens: Mapping[str, str]) -> Any:
    match value:
        case {"digestOf": inner}:
            return chain.schema_digest(inner)
        case dict():
            return {key: _value(item, tokens) for key, item in value.items()}
        case list():
            return [_value(item, tokens) for item in value]
        case str():
            return tokens.get(value, value)
        case _:
            return value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _with(claims: Claims, fields: Mapping[str, Any]) -> Claims:
    """The claims with some fields changed; a measurement keeps the parts that are not named."""
    changed = {key: _tuple(value) for key, value in fields.items()}
    if "measurement" in fields and fields.get("tee", claims.tee) == claims.tee:
        changed["measurement"] = {**claims.measurement, **fields["measurement"]}
    if "devices" in fields:
        devices = ({key: _tuple(value) for key, value in item.items()} for item in fields["devices"])
        changed["devices"] = tuple(DeviceClaims(**item) for item in devices)
    return dataclasses.replace(claims, **changed)


def _change(entries: dict[str, Entry], change: Mapping[str, Any], tokens: Mapping[str, str]) -> None:
    def put(name: str, **fields: Any) -> None:
        entries[name] = dataclasses.replace(entries[name], **fields)

    match change:
        case {"drop": name}:
            del entries[name]
        case {"copy": name, "as": other}:
            entries[other] = entries[name]
        case {"edit": name, "path": path, "value": value}:
            put(name, payload=chain.edited(entries[name].payload, path, _value(value, tokens)))
        case {"remove": name, "path": path}:
            put(name, payload=chain.edited(entries[name].payload, path, chain.REMOVED))
        case {"derive": options}:
            entries["transform"] = dataclasses.replace(
                entries["training"], payload=chain.transformed(chain.model(), **_value(options, tokens))
            )
            put("training", payload=chain.edited(entries["training"].payload, _SUBJECT, chain.PARENT))
        case {"retrain": options}:
            put("training", payload=chain.trained(chain.model(), **_value(options, tokens)))
        case {"prepare": name, "from": sources, "by": code}:
            payload = chain.transformed(chain.model(), parents=(), datasets=_value(sources, tokens), by=code)
            payload = chain.edited(payload, [*_EXTERNAL, "produces"], "dataset")
            payload = chain.edited(payload, _SUBJECT, _value(name, tokens))
            entries["preparation"] = dataclasses.replace(entries["train"], payload=payload)
        case {"evaluate": files, "metrics": metrics, "as": name}:
            payload = chain.evaluated(chain.model(files or None), metrics=[chain.metric(**item) for item in metrics])
            entries[name] = dataclasses.replace(entries["evaluation"], payload=payload + b"\n")
        case {"repeat": name, "path": [*parent, index]}:
            items: Any = _codec.loads(entries[name].payload)
            for step in parent:
                items = items[step]
            put(name, payload=chain.edited(entries[name].payload, [*parent, len(items)], items[index]))
        case {"signers": name, "are": signers}:
            put(name, signers=frozenset(signers))
        case {"claims": name, "are": []}:
            put(name, claims=())
        case {"claims": name, "set": fields}:
            for each in entries if name == "*" else [name]:
                put(each, claims=tuple(_with(item, _value(fields, tokens)) for item in entries[each].claims))
        case {"standing": name, "is": None}:
            put(name, standing=None)
        case {"standing": name, "is": fields}:
            put(name, standing=Standing(**{key: _tuple(value) for key, value in fields.items()}))
        case {"notBefore": name, "is": time}:
            put(name, freshness=Freshness(not_before=dt.datetime.fromisoformat(time)))
        case _:
            raise AssertionError(f"unknown change {change}")


def _policy(folder: Path, case: Mapping[str, Any], text: str, tokens: Mapping[str, str]) -> Policy:
    def named(words: str) -> str:
        for token, value in tokens.items():
            words = words.replace(token, value)
        return words

    data = text.encode()
    if (folder / "policy.yaml").exists():
        data = (folder / "policy.yaml").read_bytes()
    for old, new in case.get("policy", []):
        assert named(old).encode() in data, f"{old!r} is not in the base policy"
        data = data.replace(named(old).encode(), named(new).encode())
    return load_policy(data, source="policy.yaml", directory=VECTORS / "policy" / "base")


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_vector(
    folder: Path, judge: Callable[..., Appraisal], entries: dict[str, Entry], policy_text: str, root: str
) -> None:
    case = json.loads((folder / "case.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    tokens = _tokens(root)
    for change in case.get("changes", []):
        _change(entries, change, tokens)
    assert folder.name.endswith("_fail") == (expected["exitCode"] != 0)
    assert expected["class"] == CLASSES[expected["exitCode"]]

    def run() -> Appraisal:
        options: dict[str, Any] = {"at": dt.datetime.fromisoformat(case["at"])} if "at" in case else {}
        options |= {"model": chain.model(case["model"])} if "model" in case else {}
        options |= {"within": case.get("within", True)}
        return judge(entries.values(), policy=_policy(folder, case, policy_text, tokens), **options)

    if "rules" not in expected:
        with pytest.raises(LamslsaError) as caught:
            run()
        assert type(caught.value).__name__ == expected["class"]
        assert caught.value.exit_code == expected["exitCode"]
        assert caught.value.reason == expected["reason"]
        assert f"policy.yaml:{expected['position']}: " in str(caught.value) if "position" in expected else True
        return

    appraisal = run()
    rules = {rule.name: rule for rule in appraisal.rules}
    assert {
        name: [rule.outcome, rule.reason] for name, rule in rules.items() if rule.outcome != "satisfied"
    } == expected["rules"]
    assert appraisal.exit_code == expected["exitCode"]
    assert appraisal.accepted == (expected["exitCode"] == 0)
    for name, words in expected.get("message", {}).items():
        assert words in rules[name].message
    for name, words in expected.get("tee", {}).items():
        assert rules[name].tee == words
    assert len(appraisal.warnings) == len(expected.get("warnings", []))
    for warning, start in zip(appraisal.warnings, expected.get("warnings", []), strict=True):
        assert warning.startswith(start)
    for rule in appraisal.rules:
        assert (rule.outcome == "satisfied") == (rule.reason is None) == (not rule.message) == (not rule.mend)


_AT_LOAD = {"_files", "_identities", "_keys", "_kinds", "_load_rules", "_load_terms", "_platforms", "_schema"}
_NAMED = re.compile(r'reason="([a-z]+(?:-[a-z]+)+)"|reason="[^"]+" if [^"]* else "([a-z]+(?:-[a-z]+)+)"')
_HANDED_ON = re.compile(
    r'(?:return |\(|if (?:near is None|undefined|authentic|provenances) else )"([a-z]+(?:-[a-z]+)+)"'
)
_ELSEWHERE = (
    "test_rules_*.py",
    "test_bases.py",
    "test_deny.py",
    "test_measurer.py",
    "test_signatures.py",
    "cel/test_rules.py",
)


def test_every_refusal_of_the_engine_has_a_vector() -> None:
    """A reason without a refusing case could be deleted without a test that notices."""
    package = VECTORS.parents[1] / "lamslsa"
    rules = [path for path in (package / "policy").glob("_[a-z]*.py") if path.stem not in _AT_LOAD]
    sources = [*rules, *(package / "evidence" / "appraise").glob("*.py"), package / "policy" / "engine.py"]
    named = [*sources, package / "lineage.py", package / "policy" / "cel" / "findings.py"]
    raised = {reason for path in named for found in _NAMED.findall(path.read_text()) for reason in found if reason}
    raised |= {reason for path in sources for reason in _HANDED_ON.findall(path.read_text())}
    expected = [json.loads((folder / "expected.json").read_text()) for folder in CASES]
    shown = {reason for item in expected for _, reason in item.get("rules", {}).values()}
    files = [path for name in _ELSEWHERE for path in Path(__file__).parent.glob(name)]
    provoked = {reason for path in files for reason in re.findall(r'"([a-z]+(?:-[a-z]+)+)"', path.read_text())}
    assert raised - shown - provoked == {"artifact-kind", "ingredient-missing"}
    assert {"preparation-missing", "policy-refused", "cel-error", "lineage-cycle", "conflicting-provenance"} <= raised


def test_every_reason_is_documented() -> None:
    text = (VECTORS.parents[1] / "policies" / "README.md").read_text()
    reasons = {
        reason
        for folder in CASES
        for _, reason in json.loads((folder / "expected.json").read_text()).get("rules", {}).values()
    }
    assert {reason for reason in reasons if f"`{reason}`" not in text} == set()
