"""Appraisals to render: the demo's chain with realistic numbers, and ways to change it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from lamslsa import _codec, predicates, statement, verification
from lamslsa.evidence.interface import Claims, Standing
from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.predicates import dataset, evaluation, inference, model, provenance
from lamslsa.sign.interface import Signature
from tests.unit.cards import wires

AT = dt.datetime(2026, 11, 22, 6, 30, tzinfo=dt.UTC)
SEXES = {"Female": 0.33, "Male": 0.67}
RACES = {"White": 0.854, "Black": 0.096, "Asian-Pac-Islander": 0.03, "Amer-Indian-Eskimo": 0.01, "Other": 0.01}


def digest(text: str) -> str:
    return _codec.sha256_hex(text.encode())


MODEL, TRAIN, TEST = digest("model"), digest("train"), digest("test")
SHA = {"sha256": digest("x")}


def _environment() -> dict[str, Any]:
    versions = {"lamslsa": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.1", "scikit-learn": "1.9.0", "click": "8.3.1"}
    return {
        "python": "CPython 3.11.7",
        "machine": {"cpu": "Intel(R) Xeon(R) Processor", "isa": "avx512", "threads": 1, "device": "cpu"},
        "variables": {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        "packages": [
            {"name": name, "uri": f"pkg:pypi/{name}@{version}", "digest": SHA} for name, version in versions.items()
        ],
    }


def _measurer(name: str) -> dict[str, str]:
    return {"name": name, "version": "1"}


def dataset_wire(*, rows: int, missing: int, other: tuple[str, str] | None = None) -> dict[str, Any]:
    columns = ["age", "workclass", "education", "occupation", "sex", "race", "native-country", "income"]
    gaps = {"workclass": missing, "occupation": missing + 7, "native-country": missing // 3}
    groups = [
        {"values": [sex, race], "count": round(rows * share * part)}
        for sex, share in SEXES.items()
        for race, part in RACES.items()
    ]
    wire: dict[str, Any] = {
        "kind": "dataset",
        "measurer": _measurer("csv-dataset"),
        "schema": {"format": "csv"},
        "schemaDigest": SHA,
        "configuration": {"groups": [["sex"], ["race"], ["sex", "race"]]},
        "files": [{"path": "adult.csv", "digest": SHA, "size": 3_974_305}],
        "rows": rows,
        "columns": [{"name": name, "type": "text", "missing": gaps.get(name, 0), "distinct": 9} for name in columns],
        "duplicates": {"rows": rows // 1357, "method": "exact"},
        "labelBalance": {
            "columns": ["income"],
            "samples": rows,
            "cells": [
                {"values": ["<=50K"], "count": round(rows * 0.7592)},
                {"values": [">50K"], "count": rows - round(rows * 0.7592)},
            ],
        },
        "distributions": [
            {
                "columns": ["sex"],
                "samples": rows,
                "cells": [{"values": [sex], "count": round(rows * share)} for sex, share in SEXES.items()],
            },
            {"columns": ["sex", "race"], "samples": rows, "cells": groups},
        ],
        "environment": _environment(),
        "declared": {
            "license": "CC-BY-4.0",
            "source": "https://archive.ics.uci.edu/dataset/2/adult",
            "description": "Census income, extracted from the 1994 database by Barry Becker.",
        },
    }
    if other:
        wire["overlaps"] = [
            {
                "dataset": {"name": other[0], "digest": {"sha256": other[1]}},
                "schemaDigest": SHA,
                "columns": columns[:-1],
                "samples": rows,
                "rows": 23,
                "distinct": 21,
            }
        ]
    return wire


def metric(name: str, value: float | None, half: float, samples: int, **more: Any) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": name, "samples": samples, **more}
    if value is None:
        return wire | {"undefined": "no positive rows in this slice"}
    method = {"method": "wilson"} if name in {"accuracy", "selection_rate"} else {"method": "percentile-bootstrap"}
    resamples = {} if name in {"accuracy", "selection_rate"} else {"resamples": 1000}
    interval = {"level": 0.95, "lower": max(0.0, value - half), "upper": min(1.0, value + half)}
    return wire | {"value": value, "interval": interval | method | resamples}


def _slices(rows: int) -> list[dict[str, Any]]:
    found = []
    for index, (sex, share) in enumerate(SEXES.items()):
        for number, (race, part) in enumerate(RACES.items()):
            samples = round(rows * share * part)
            slice_ = {"sex": sex, "race": race}
            width = 0.9 / samples**0.5
            found.append(metric("accuracy", 0.94 - 0.11 * index - 0.01 * number, width, samples, slice=slice_))
            rate = None if (index, number) == (0, 4) else 0.08 + 0.17 * index - 0.012 * number
            found.append(metric("selection_rate", rate, width * 0.8, samples, slice=slice_))
    return found


def evaluation_wire(rows: int = 16_281) -> dict[str, Any]:
    by = {"sex": (0.1540, 0.0580), "race": (0.1771, 0.1204)}
    return {
        "kind": "model",
        "measurer": _measurer("tabular-evaluation"),
        "model": {"architecture": "mlp/1", "files": [{"path": "model.safetensors", "digest": SHA, "size": 1_200_300}]},
        "dataset": {"name": "census-test", "digest": {"sha256": TEST}, "schemaDigest": SHA},
        "configuration": dict(evaluation.DEFAULT_CONFIGURATIONS["tabular-evaluation/1"]),
        "configurationDigest": SHA,
        "groups": [["sex"], ["race"], ["sex", "race"]],
        "seed": {"derivation": "sha256(model||dataset||configuration)", "value": SHA},
        "metrics": [
            metric("accuracy", 0.8549, 0.0054, rows),
            metric("balanced_accuracy", 0.7703, 0.0083, rows),
            metric("f1", 0.6704, 0.0121, rows),
            metric("auroc", 0.9060, 0.0052, rows),
            metric("expected_calibration_error", 0.0340, 0.0048, rows),
            *(
                metric(name, by[column][which], 0.0122, rows, groups=[column])
                for which, name in enumerate(("demographic_parity_difference", "equalized_odds_difference"))
                for column in by
            ),
            *_slices(rows),
        ],
        "environment": _environment(),
    }


def provenance_wire() -> dict[str, Any]:
    return {
        "buildDefinition": {
            "buildType": provenance.TRAINING_BUILD_TYPE,
            "externalParameters": {
                "trainer": _measurer("tabular-training"),
                "configuration": {
                    "hiddenLayers": [128, 256, 512, 256],
                    "epochs": 10,
                    "batchSize": 256,
                    "learningRate": 0.001,
                    "seed": 20261122,
                },
                "datasets": {"train": "census-train"},
            },
            "internalParameters": {"environment": _environment()},
            "resolvedDependencies": [
                {
                    "name": "census-train",
                    "digest": {"sha256": TRAIN},
                    "annotations": {"kind": "dataset", "role": "train", "schemaDigest": SHA},
                },
                {"name": "lamslsa", "digest": SHA, "annotations": {"kind": "code"}},
                {"name": "torch", "digest": SHA, "annotations": {"kind": "package"}},
            ],
        },
        "runDetails": {"builder": {"id": "https://lamslsa.dev/enclave/0.1.0"}},
    }


def evidence(seed: str, *, simulated: bool = True, **changes: Any) -> verification.VerifiedEvidence:
    claims = Claims(
        tee="sgx",
        simulated=simulated,
        root=digest("root"),
        measurement={
            "mrEnclave": digest("enclave"),
            "mrSigner": digest("signer"),
            "attributes": "05" + "00" * 15,
            "miscSelect": "00" * 4,
            "configId": "00" * 64,
        },
        versions={"isvProdId": 1, "isvSvn": 1},
        report_data=bytes(64),
        debug=False,
        tcb_status="UpToDate",
        advisories=(),
        tcb_evaluation_data_number=17,
        platform_id="00" * 16,
    )
    return verification.VerifiedEvidence(
        claims=dataclasses.replace(claims, **changes),
        statement=digest(f"evidence {seed}"),
        covers=(digest(seed),),
        as_of=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
        standing=Standing(revoked=False, tcb_evaluation_data_number=17),
    )


def signed(identity: str) -> verification.VerifiedSignature:
    return verification.VerifiedSignature(
        identity=identity, signature=Signature(signer=f"key of {identity}"), source="store/1.sigstore.json"
    )


def attestation(
    name: str, sha256: str, predicate_type: str, wire: Mapping[str, Any], signer: str, **changes: Any
) -> verification.VerifiedAttestation:
    parsed = statement.parse(statement.make([statement.Subject(name=name, sha256=sha256)], predicate_type, wire))
    predicate = predicates.parse(parsed)
    assert not isinstance(predicate, predicates.TeeEvidence)
    fields: dict[str, Any] = {
        "statement": parsed,
        "predicate": predicate,
        "signatures": tuple(signed(name) for name in sorted(changes.pop("signers", {signer}))),
        "evidence": (evidence(parsed.sha256),),
        "seal": verification._SEAL,
    }
    return verification.VerifiedAttestation(**fields | changes)


def train_sheet(**changes: Any) -> verification.VerifiedAttestation:
    wire = dataset_wire(rows=32_561, missing=1_836)
    return attestation("census-train", TRAIN, dataset.PREDICATE_TYPE, wire, "data-owner", **changes)


def test_sheet(**changes: Any) -> verification.VerifiedAttestation:
    wire = dataset_wire(rows=16_281, missing=963, other=("census-train", TRAIN))
    return attestation("census-test", TEST, dataset.PREDICATE_TYPE, wire, "data-owner", **changes)


def training(**changes: Any) -> verification.VerifiedAttestation:
    return attestation("census-mlp", MODEL, provenance.PREDICATE_TYPE, provenance_wire(), "trainer", **changes)


def evaluated(wire: Mapping[str, Any] | None = None, **changes: Any) -> verification.VerifiedAttestation:
    wire = evaluation_wire() if wire is None else wire
    model = changes.pop("model", MODEL)
    return attestation("census-mlp", model, evaluation.PREDICATE_TYPE, wire, "auditor", **changes)


def rule(
    name: str, kind: Any, subject: str, threshold: str, by: verification.VerifiedAttestation, **more: Any
) -> RuleResult:
    fields: dict[str, Any] = {
        "outcome": "satisfied",
        "attestation": by,
        "signer": ", ".join(sorted(by.signers)),
        "platform": "rehearsal",
        "tee": "sgx, SIMULATED",
        "simulated": True,
        "authentic": True,
    }
    return RuleResult(name=name, kind=kind, subject=subject, threshold=threshold, **fields | more)


def appraise(**changes: Any) -> Appraisal:
    train, test, run, metrics = train_sheet(), test_sheet(), training(), evaluated()
    rules = (
        rule("ingredient: census-train", "ingredient", "datasheet of census-train", "signed by data-owner", train),
        rule("training", "training", "provenance", "signed by trainer, epochs at most 50", run, observed="10 epochs"),
        rule("accurate", "metric", "accuracy", "lower bound at least 0.84, samples at least 10,000", metrics,
             observed="0.8549 (0.8494–0.8602), n 16,281", value=0.8494),
        rule("fair by sex", "metric", "demographic_parity_difference by sex", "value at most 0.20", metrics,
             observed="0.1540 (0.1418–0.1662), n 16,281", value=0.154),
        rule("no leakage", "overlap", "census-test in census-train", "at most 30 rows", test, observed="23 rows"),
        rule("lineage", "lineage", "one provenance for all rules", "one assignment", run),
    )  # fmt: skip
    everything = (train, test, run, metrics)
    fields: dict[str, Any] = {
        "model_name": "census-mlp",
        "model": MODEL,
        "policy_name": "census-income",
        "policy_sha256": digest("policy"),
        "policy_closure": digest("policy and its files"),
        "at": AT,
        "now": AT,
        "rules": rules,
        "attestations": everything,
        "qualifying": everything,
        "set_aside": (),
        "warnings": (),
    }
    return Appraisal(**fields | changes)


def refuse() -> Appraisal:
    """The trainer signed the evaluation, and one bundle was edited."""
    base = appraise()
    metrics = evaluated(signers=frozenset({"trainer"}))
    wrong: dict[str, Any] = {
        "outcome": "refused",
        "reason": "signer",
        "message": "expected an evaluation signed by auditor, got one signed by trainer",
        "mend": "have auditor sign the evaluation, or name trainer in the rule",
        "observed": "0.8549 (0.8494–0.8602), n 16,281",
    }
    rules = tuple(
        dataclasses.replace(each, **wrong, attestation=metrics, signer="trainer") if each.kind == "metric" else each
        for each in base.rules
    )
    others = base.attestations[:-1]
    return dataclasses.replace(
        base,
        rules=rules,
        attestations=(*others, metrics),
        qualifying=others,
        set_aside=(
            verification.SetAside(
                source="model/.attestations/04-evaluation.sigstore.json",
                reason="evidence-statement",
                message="expected a statement that a quote covers, got another",
                hint="measure again",
            ),
        ),
        warnings=("two trainings claim this model",),
    )


def everything_else(text: str, **changes: Any) -> tuple[verification.VerifiedAttestation, ...]:
    """Statements of all other kinds, about the demo's model and data."""
    name, made = text[:200], provenance.PREDICATE_TYPE
    return (
        attestation(name, MODEL, model.PREDICATE_TYPE, wires.properties(text), "x", **changes),
        attestation(name, MODEL, evaluation.PREDICATE_TYPE, wires.robustness(text, TEST, TRAIN), "x", **changes),
        attestation(name, MODEL, inference.PREDICATE_TYPE, wires.answers(text, 1), "x", **changes),
        attestation(name, MODEL, inference.PREDICATE_TYPE, wires.answers(text, 5_000), "x", **changes),
        attestation(name, TEST, dataset.PREDICATE_TYPE, wires.datasheet(text), "x", **changes),
        attestation(name, digest("questions"), dataset.PREDICATE_TYPE, wires.pictures(), "x", **changes),
        attestation(name, MODEL, made, wires.transform(text, TRAIN), "x", **changes),
        attestation(name, wires.PARENT, made, wires.private_training(text, TRAIN), "x", **changes),
        attestation(name, wires.PARENT, made, wires.own_training(text, TRAIN), "x", **changes),
        attestation(name, TRAIN, made, wires.preprocessing(text), "x", **changes),
        attestation(name, TEST, made, wires.preprocessing(text), "x", **changes),
    )


def hostile(text: str) -> Appraisal:
    """A refused appraisal of statements of every kind, with ``text`` wherever a stranger can write."""
    name = text[:200]
    overlap = dataset_wire(rows=100, missing=3, other=(name, TRAIN)) | {"declared": {"license": text, "source": text}}
    overlap["columns"][1]["name"] = text
    overlap["labelBalance"]["columns"] = [text]
    overlap["labelBalance"]["cells"][0]["values"] = [text]
    overlap["distributions"][1]["columns"] = [text, "race"]
    overlap["distributions"][1]["cells"][0]["values"] = [text, None]
    metrics = evaluation_wire()
    metrics["dataset"]["name"] = metrics["measurer"]["name"] = name
    metrics["model"]["architecture"] = text
    metrics["configuration"] = {text: text, "list": [text]}
    metrics["metrics"] = [
        metric(text, 0.5, 0.1, 10),
        metric("f1", None, 0.1, 10) | {"undefined": text},
        metric(text, 0.5, 0.1, 10, groups=[text, "race"]),
        metric(text, 0.5, 0.1, 10, slice={text: text}),
    ]
    built = provenance_wire()
    parameters = built["buildDefinition"]["externalParameters"]
    parameters["trainer"] = {"name": name, "version": name}
    parameters["configuration"] = {text: text, "deep": {text: [text]}}
    parameters["datasets"] = {text: name}
    built["buildDefinition"]["resolvedDependencies"][0]["name"] = name
    environment = built["buildDefinition"]["internalParameters"]["environment"]
    environment |= {"python": text, "machine": {text: text}, "variables": {text: text}}
    environment["packages"][0]["uri"] = f"pkg:pypi/torch@{text}"
    built["runDetails"]["builder"]["id"] = text
    quote = evidence("x", tcb_status=text, advisories=(text,))
    signed: dict[str, Any] = {"signers": frozenset({text}), "evidence": (quote,)}
    everything = (
        train_sheet(**signed),
        attestation(name, TEST, dataset.PREDICATE_TYPE, overlap, "x", **signed),
        attestation(name, MODEL, provenance.PREDICATE_TYPE, built, "x", **signed),
        attestation(name, MODEL, evaluation.PREDICATE_TYPE, metrics, "x", **signed),
        *everything_else(text, **signed),
    )
    said: dict[str, Any] = dict.fromkeys(("platform", "tee", "reason", "message", "mend", "observed", "signer"), text)
    rules = (
        rule(text, "metric", text, text, everything[3], **said, outcome="refused"),
        rule(text, "training", text, text, everything[2]),
    )
    return appraise(
        model_name=text,
        policy_name=text,
        rules=rules,
        attestations=everything,
        qualifying=everything[::2],
        set_aside=(verification.SetAside(source=text, reason=text, message=text, hint=text),),
        warnings=(text,),
    )


class Sample:
    """What the tests build with; a fixture, since test modules import nothing from each other."""

    MODEL = MODEL
    TEST = TEST
    TRAIN = TRAIN
    appraise = staticmethod(appraise)
    dataset_wire = staticmethod(dataset_wire)
    evaluated = staticmethod(evaluated)
    evaluation_wire = staticmethod(evaluation_wire)
    attestation = staticmethod(attestation)
    everything_else = staticmethod(everything_else)
    evidence = staticmethod(evidence)
    hostile = staticmethod(hostile)
    provenance_wire = staticmethod(provenance_wire)
    refuse = staticmethod(refuse)
    test_sheet = staticmethod(test_sheet)
    train_sheet = staticmethod(train_sheet)
    training = staticmethod(training)


@pytest.fixture(scope="session")
def sample() -> type[Sample]:
    return Sample


@pytest.fixture(scope="session")
def accepted() -> Appraisal:
    return appraise()


@pytest.fixture(scope="session")
def refused() -> Appraisal:
    return refuse()
