"""The payloads of a small Census chain, made in microseconds: two datasheets, a provenance, an evaluation.

They are what the measurers would emit, without torch, DuckDB or data; the values are invented and constant. Payloads
are neither signed nor quoted: a test signs them with a key of its own. `Entry` says who would have signed and what the
quotes would claim, for tests of what comes after verification.

>>> sorted(census())
['evaluation', 'test', 'train', 'training']
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec, statement
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.evidence.interface import Claims, Standing
from lamslsa.evidence.verify import Freshness
from lamslsa.predicates import configuration_digest, dataset, evaluation, provenance
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

__all__ = [
    "PARENT",
    "REMOVED",
    "SCHEMA",
    "TEST",
    "TRAIN",
    "Entry",
    "census",
    "claims",
    "datasheet",
    "edited",
    "entries",
    "evaluated",
    "metric",
    "model",
    "schema_digest",
    "trained",
    "transformed",
]

TRAIN: Final = _codec.sha256_hex(b"census-train")
TEST: Final = _codec.sha256_hex(b"census-test")
PARENT: Final = "e" * 64
SCHEMA: Final[Mapping[str, Any]] = {
    "format": "csv",
    "delimiter": ",",
    "header": False,
    "trim": True,
    "nullToken": "?",
    "skipLines": 1,
    "columns": [{"name": "age", "type": "integer"}, {"name": "income", "type": "string"}],
    "label": {"column": "income", "classes": {"<=50K": 0, ">50K": 1}},
}
REMOVED: Final = object()
"""Given to `edited`, takes the field away."""

_GOOD_STANDING: Final = Standing(revoked=False, tcb_evaluation_data_number=17)
_NO_BOUND: Final = Freshness()
_ENVIRONMENT: Final = {"python": "CPython 3.11.7", "machine": {"threads": 1}, "variables": {}, "packages": []}


def schema_digest(schema: Mapping[str, Any] = SCHEMA) -> str:
    """The digest by which evaluations and trainings name a schema."""
    return configuration_digest(dict(schema))


def model(files: Mapping[str, str] | None = None) -> Manifest:
    """The manifest of a model, from path to content."""
    content = files or {"model.json": "{}", "model.safetensors": "weights"}
    return Manifest.of(
        "model",
        [
            FileEntry(path=path, sha256=_codec.sha256_hex(text.encode()), size=len(text))
            for path, text in content.items()
        ],
    )


def _statement(name: str, sha256: str, predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    return statement.make([statement.Subject(name=name, sha256=sha256)], predicate_type, predicate)


def _files(manifest: Manifest) -> list[dict[str, Any]]:
    return [{"path": item.path, "digest": {"sha256": item.sha256}, "size": item.size} for item in manifest.files]


def datasheet(
    name: str,
    sha256: str,
    *,
    rows: int,
    schema: Mapping[str, Any] = SCHEMA,
    overlaps: Sequence[tuple[str, str, int]] = (),
) -> bytes:
    """A datasheet; each overlap is (digest of the other dataset, digest of its schema, rows)."""
    return _statement(
        name,
        sha256,
        dataset.PREDICATE_TYPE,
        {
            "kind": "dataset",
            "measurer": {"name": "tabular-dataset", "version": "1"},
            "schema": schema,
            "schemaDigest": {"sha256": schema_digest(schema)},
            "configuration": {"groups": [["sex"], ["race"]], "overlap": []},
            "files": [{"path": f"{name}.csv", "digest": {"sha256": sha256}, "size": rows}],
            "rows": rows,
            "columns": [{"name": "age", "type": "integer", "missing": 0, "distinct": 73}],
            "duplicates": {"rows": 0, "method": "exact"},
            "distributions": [],
            "environment": _ENVIRONMENT,
            "overlaps": [
                {
                    "dataset": {"name": "other", "digest": {"sha256": other}},
                    "schemaDigest": {"sha256": other_schema},
                    "columns": ["age"],
                    "samples": rows,
                    "rows": shared,
                    "distinct": shared,
                }
                for other, other_schema, shared in overlaps
            ],
        },
    )


def trained(
    manifest: Manifest,
    *,
    datasets: Sequence[tuple[str, str, str]] = (("census-train", TRAIN, ""),),
    bases: Sequence[tuple[str, str]] = (),
    configuration: Mapping[str, Any] | None = None,
) -> bytes:
    """A provenance; a dataset is (name, digest, schema digest or empty for that of `SCHEMA`), a base (name, digest).

    The first dataset has the role ``train``, the others ``train-1``, ``train-2`` and so on.
    """
    roles = ["train", *(f"train-{index}" for index in range(1, len(datasets)))][: len(datasets)]
    dependencies: list[dict[str, Any]] = [
        {
            "name": name,
            "digest": {"sha256": sha256},
            "annotations": {"kind": "dataset", "schemaDigest": {"sha256": schema or schema_digest()}},
        }
        for name, sha256, schema in datasets
    ]
    dependencies += [
        {"name": name, "digest": {"sha256": sha256}, "annotations": {"kind": "model"}} for name, sha256 in bases
    ]
    dependencies.append(
        {"name": "lamslsa", "digest": {"sha256": "c" * 64}, "annotations": {"kind": "code", "installation": "wheel"}}
    )
    return _statement(
        "census-mlp",
        manifest.sha256,
        provenance.PREDICATE_TYPE,
        {
            "buildDefinition": {
                "buildType": provenance.TRAINING_BUILD_TYPE,
                "externalParameters": {
                    "trainer": {"name": "tabular-mlp", "version": "1"},
                    "configuration": configuration or {"epochs": 10, "hidden": [128, 256], "optimizer": "adam"},
                    "datasets": {role: item[0] for role, item in zip(roles, datasets, strict=True)},
                },
                "internalParameters": {"environment": _ENVIRONMENT},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": f"{provenance.BUILDER_PREFIX}0.1.0"},
                "byproducts": [
                    {"name": item.path, "digest": {"sha256": item.sha256}, "annotations": {"kind": "file"}}
                    for item in manifest.files
                ],
            },
        },
    )


def transformed(
    manifest: Manifest,
    *,
    parents: Sequence[tuple[str, str]] = (("census-mlp", PARENT),),
    datasets: Sequence[tuple[str, str, str]] = (("census-train", TRAIN, ""),),
    by: str = "quantize-int8/1",
) -> bytes:
    """The provenance of a transform; a parent is (name, digest), a dataset as for `trained`."""
    name, _, version = by.partition("/")
    dependencies: list[dict[str, Any]] = [
        {
            "name": dataset,
            "digest": {"sha256": sha256},
            "annotations": {"kind": "dataset", "schemaDigest": {"sha256": schema or schema_digest()}},
        }
        for dataset, sha256, schema in datasets
    ]
    dependencies += [
        {"name": parent, "digest": {"sha256": sha256}, "annotations": {"kind": "model"}} for parent, sha256 in parents
    ]
    return _statement(
        "census-mlp-int8",
        manifest.sha256,
        provenance.PREDICATE_TYPE,
        {
            "buildDefinition": {
                "buildType": provenance.TRANSFORM_BUILD_TYPE,
                "externalParameters": {
                    "transform": {"name": name, "version": version},
                    "configuration": {"scheme": "symmetric"},
                    "datasets": {f"difference-{index}": item[0] for index, item in enumerate(datasets)},
                    "models": {f"parent-{index}": item[0] for index, item in enumerate(parents)},
                    "produces": "model",
                },
                "internalParameters": {"environment": _ENVIRONMENT},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": f"{provenance.BUILDER_PREFIX}0.1.0"}},
        },
    )


def metric(
    name: str,
    value: float,
    *,
    groups: Sequence[str] = (),
    rows: Mapping[str, str] | None = None,
    samples: int = 16281,
) -> dict[str, Any]:
    """A value with an interval of plus and minus 0.005."""
    found: dict[str, Any] = {
        "name": name,
        "value": value,
        "samples": samples,
        "interval": {"level": 0.95, "lower": value - 0.005, "upper": value + 0.005, "method": "wilson"},
    }
    found |= {"groups": list(groups)} if groups else {}
    return found | ({"slice": dict(rows)} if rows is not None else {})


def evaluated(
    manifest: Manifest,
    *,
    dataset: tuple[str, str, str] = ("census-test", TEST, ""),
    metrics: Sequence[Mapping[str, Any]] | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> bytes:
    """An evaluation; the dataset is (name, digest, schema digest or empty for that of `SCHEMA`)."""
    name, sha256, schema = dataset
    settings = dict(configuration or DEFAULT_CONFIGURATIONS["tabular-evaluation/1"])
    seed = evaluation.derive_seed(model=manifest.sha256, dataset=sha256, configuration=configuration_digest(settings))
    return _statement(
        "census-mlp",
        manifest.sha256,
        evaluation.PREDICATE_TYPE,
        {
            "kind": "model",
            "measurer": {"name": "tabular-evaluation", "version": "1"},
            "model": {"architecture": "tabular-mlp/1", "files": _files(manifest)},
            "dataset": {
                "name": name,
                "digest": {"sha256": sha256},
                "schemaDigest": {"sha256": schema or schema_digest()},
            },
            "configuration": settings,
            "configurationDigest": {"sha256": configuration_digest(settings)},
            "groups": [["sex"]],
            "seed": {"derivation": "sha256(model||dataset||configuration)", "value": {"sha256": seed}},
            "metrics": [
                metric("accuracy", 0.855),
                metric("demographic_parity_difference", 0.15, groups=["sex"]),
                metric("accuracy", 0.9, rows={"sex": "Female", "race": "Black"}, samples=2000),
            ]
            if metrics is None
            else list(metrics),
            "environment": _ENVIRONMENT,
        },
    )


def census(manifest: Manifest | None = None) -> dict[str, bytes]:
    """The four payloads of the chain, by short names."""
    subject = manifest or model()
    return {
        "train": datasheet("census-train", TRAIN, rows=32561),
        "test": datasheet("census-test", TEST, rows=16281, overlaps=[(TRAIN, schema_digest(), 23)]),
        "training": trained(subject),
        "evaluation": evaluated(subject),
    }


def edited(payload: bytes, path: Sequence[str | int], value: Any) -> bytes:
    """The statement with one field of its JSON replaced, or taken away with `REMOVED`."""
    document = copy.deepcopy(_codec.loads(payload))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    if value is REMOVED:
        del parent[path[-1]]
    elif isinstance(parent, list) and path[-1] == len(parent):
        parent.append(value)
    else:
        parent[path[-1]] = value
    return _codec.dumps(document)


def claims(*, root: str, **changes: Any) -> Claims:
    """The claims of a simulated SGX platform under a root, with some of them changed."""
    values: dict[str, Any] = {
        "tee": "sgx",
        "simulated": True,
        "root": root,
        "measurement": {
            "mrEnclave": "1" * 64,
            "mrSigner": "2" * 64,
            "attributes": "05" + "00" * 15,
            "miscSelect": "00" * 4,
            "configId": "00" * 64,
        },
        "versions": {"isvProdId": 0, "isvSvn": 0},
        "report_data": bytes(64),
        "debug": False,
        "tcb_status": "UpToDate",
        "advisories": (),
        "tcb_evaluation_data_number": 17,
        "platform_id": "00" * 16,
    }
    return Claims(**(values | changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A statement, the policy's names of those who signed it, and the claims of each quote that covers it.

    Attributes:
        standing: how the platforms of these quotes stand now.
        freshness: since when these quotes can exist.
    """

    payload: bytes
    signers: frozenset[str]
    claims: tuple[Claims, ...]
    standing: Standing | None = _GOOD_STANDING
    freshness: Freshness = _NO_BOUND


def entries(*, root: str, manifest: Manifest | None = None) -> dict[str, Entry]:
    """The chain as the policy of the test vectors wants it: each statement signed by its role, on a simulated TEE."""
    roles = {"train": "data-owner", "test": "data-owner", "training": "trainer", "evaluation": "auditor"}
    return {
        name: Entry(payload=payload, signers=frozenset({roles[name]}), claims=(claims(root=root),))
        for name, payload in census(manifest).items()
    }
