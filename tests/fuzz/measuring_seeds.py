"""Valid inputs of measurements, made at run time: data, models, job files, and what comes out of them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from lamslsa import _codec, _yaml, statement
from lamslsa._merkle import Tree, leaf_hash
from lamslsa.artifact.manifest import Kind
from lamslsa.artifact.memory import SEALED
from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile
from lamslsa.measure.data.schema import Column, ImageSchema, Label, Schema
from lamslsa.measure.models.interface import dump_description
from lamslsa.predicates import inference as inference_
from tests.fuzz.mutate import join

__all__ = [
    "CSV",
    "IMAGES",
    "PROPERTIES",
    "ROOT",
    "TABLE",
    "arrow",
    "artifact",
    "croissant",
    "images",
    "inferences",
    "job_text",
    "jobs",
    "jsonl",
    "models",
    "named_files",
    "onnx",
    "openings",
    "own_jobs",
    "parquet",
    "predicates",
    "properties",
    "receipts",
    "sheet",
    "steps",
]

ROOT: Final = Path(__file__).resolve().parents[2]
TABLE: Final = Schema(
    delimiter="",
    header=False,
    skip_lines=0,
    trim=False,
    null_token="?",
    columns=(
        Column(name="age", type="integer"),
        Column(name="rate", type="number"),
        Column(name="job", type="string"),
        Column(name="member", type="boolean"),
        Column(name="income", type="string"),
    ),
    label=Label(column="income", classes={"low": 0, "high": 1}),
    format="parquet",
)
IMAGES: Final = ImageSchema(channels=3, height=4, width=3, classes={"a": 0, "b": 1})
CSV: Final = b'39,0.5,Clerk,true,low\n50,?,"a ""b"", c",?,high\n?,-1e3,?,false,low\n39,0.5,Clerk,true,low\n'
_ROWS: Final[dict[str, list[Any]]] = {
    "income": ["low", "high", "low", "high"],
    "age": [39, None, 2**53, -7],
    "rate": [0.5, None, -0.0, 1e300],
    "job": ["日本", "?", None, "Clerk"],
    "member": [True, None, False, True],
}
PROPERTIES: Final[dict[str, Any]] = {
    "conditional": [{"columns": ["income"], "given": ["job"]}],
    "summaries": [{"column": "age", "quantiles": [0.1, 0.5]}, {"column": "rate", "quantiles": []}],
    "anonymity": [
        {"quasiIdentifiers": ["job", "member"], "sensitive": []},
        {"quasiIdentifiers": ["job"], "sensitive": [{"column": "age", "distance": "ordered"}]},
        {"quasiIdentifiers": ["job"], "sensitive": [{"column": "income", "distance": "equal"}]},
    ],
    "drift": [
        {"reference": "other", "column": "age", "bins": 4, "emptyBins": {"add": 0.5}},
        {"reference": "other", "column": "job", "emptyBins": "undefined"},
    ],
    "shares": [
        {"where": {"job": "Clerk", "member": None}, "atLeast": 0.3, "by": "count"},
        {"where": {"age": 39}, "atLeast": 0.3, "by": "wilson", "confidenceLevel": 0.95},
    ],
}


def artifact(files: Mapping[str, bytes], kind: Kind = "dataset") -> VerifiedArtifact:
    """Files as verified ones, without a disk."""
    return VerifiedArtifact(
        kind=kind,
        files=[
            VerifiedFile(path=path, content=memoryview(data), file=None, memory=SEALED) for path, data in files.items()
        ],
    )


def _tables() -> list[Any]:
    import pyarrow as pa

    plain = pa.table(_ROWS)
    coded = plain.set_column(
        plain.schema.get_field_index("job"), "job", pa.array(_ROWS["job"], pa.string()).dictionary_encode()
    )
    return [plain, coded]


@lru_cache(maxsize=1)
def parquet() -> list[bytes]:
    """Plain and packed, with dictionaries, of several row groups, both versions of pages; decimals, small integers."""
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = _tables()[0]
    exact = [None if value is None else decimal.Decimal(str(value)) for value in (1.5, None, -2.25, 0)]
    decimals = plain.set_column(plain.schema.get_field_index("rate"), "rate", pa.array(exact, pa.decimal128(12, 2)))
    small = plain.set_column(plain.schema.get_field_index("age"), "age", pa.array([39, None, 7, 0], pa.uint16()))
    ways: Sequence[tuple[Any, dict[str, Any]]] = (
        (plain, {"compression": "none", "use_dictionary": False}),
        (plain, {"compression": "zstd"}),
        (plain, {"compression": "snappy", "row_group_size": 2, "data_page_version": "2.0"}),
        (small, {"compression": "none", "row_group_size": 3}),
        (decimals, {"compression": "gzip", "store_decimal_as_integer": True, "write_page_index": True}),
    )
    found = []
    for table, options in ways:
        stream = io.BytesIO()
        pq.write_table(table, stream, **options)
        found.append(stream.getvalue())
    return found


@lru_cache(maxsize=1)
def arrow() -> list[bytes]:
    """Files and streams, with and without a dictionary, in one batch and in several."""
    import pyarrow as pa

    found = []
    for table in _tables():
        for make in (pa.ipc.new_file, pa.ipc.new_stream):
            sink = io.BytesIO()
            with make(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=3)
            found.append(sink.getvalue())
    return found


def jsonl() -> list[bytes]:
    """A line for each row."""
    rows = [dict(zip(_ROWS, values, strict=True)) for values in zip(*_ROWS.values(), strict=True)]
    return [b"".join(json.dumps(row, ensure_ascii=ascii_).encode() + b"\n" for row in rows) for ascii_ in (True, False)]


@lru_cache(maxsize=1)
def images() -> list[bytes]:
    """One picture as PNG, JPEG and BMP, plain and with what these formats may hold besides."""
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    pixels = np.arange(36, dtype=np.uint8).reshape(4, 3, 3) * 7
    told = PngInfo()
    told.add_text("comment", "a text", zip=True)
    found = []
    for form, options in (
        ("PNG", {}),
        ("JPEG", {"quality": 90}),
        ("BMP", {}),
        ("PNG", {"pnginfo": told, "dpi": (72, 72)}),
        ("JPEG", {"progressive": True, "exif": Image.Exif(), "comment": b"a text"}),
    ):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, form, **options)
        found.append(stream.getvalue())
    return found


@lru_cache(maxsize=1)
def onnx() -> list[bytes]:
    """A linear model, a small convolution, and trees."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def made(nodes: Sequence[Any], shape: Sequence[Any], weights: Mapping[str, Any]) -> bytes:
        graph = helper.make_graph(
            nodes,
            "model",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3])],
            initializer=[numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = 10
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    node = helper.make_node
    linear = made(
        [node("Gemm", ["input", "w", "b"], ["z"]), node("Softmax", ["z"], ["probabilities"], axis=1)],
        [None, 2],
        {"w": np.ones((2, 3), np.float32) / 3, "b": np.zeros(3, np.float32)},
    )
    convolved = made(
        [
            node("Unsqueeze", ["input", "axes"], ["u"]),
            node("Conv", ["u", "k"], ["c"], kernel_shape=[1], pads=[0, 0]),
            node("Relu", ["c"], ["r"]),
            node("Flatten", ["r"], ["f"], axis=1),
            node("MatMul", ["f", "w"], ["z"]),
            node("Softmax", ["z"], ["probabilities"], axis=1),
        ],
        [None, 2],
        {
            "axes": np.array([1], np.int64),
            "k": np.ones((2, 1, 1), np.float32),
            "w": np.ones((4, 3), np.float32) / 5,
        },
    )
    trees = made(
        [
            node(
                "TreeEnsembleClassifier",
                ["input"],
                ["label", "probabilities"],
                domain="ai.onnx.ml",
                nodes_treeids=[0, 0, 0],
                nodes_nodeids=[0, 1, 2],
                nodes_featureids=[0, 0, 0],
                nodes_values=[0.5, 0.0, 0.0],
                nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
                nodes_truenodeids=[1, 0, 0],
                nodes_falsenodeids=[2, 0, 0],
                nodes_missing_value_tracks_true=[0, 0, 0],
                class_treeids=[0, 0],
                class_nodeids=[1, 2],
                class_ids=[0, 2],
                class_weights=[1.0, 1.0],
                classlabels_int64s=[0, 1, 2],
                post_transform="NONE",
            )
        ],
        [None, 2],
        {},
    )
    return [linear, convolved, trees]


def _features() -> tuple[Any, ...]:
    from lamslsa.measure.models.features import CategoryFeature, NumberFeature

    return (NumberFeature(name="age", mean=38.5, deviation=2.0), CategoryFeature(name="job", categories=("a", "b")))


def _descriptions() -> list[Any]:
    from lamslsa.measure.models import cnn, lstm, mlp, vgg
    from lamslsa.measure.models.interface import Classes, Number

    features = _features()
    image: dict[str, Any] = {"channels": 1, "mean": (0.25,), "deviation": (0.5,), "dropout": 0.0, "label": "folder"}
    text: dict[str, Any] = {
        "text_column": "text",
        "tokens": "casefold-words",
        "vocabulary": ("a", "b"),
        "length": 4,
        "label": "y",
    }
    return [
        mlp.Description(architecture=mlp.ARCHITECTURE, features=features, hidden=(4,), label="income"),
        mlp.Description(
            architecture=mlp.ARCHITECTURE,
            features=features[:1],
            hidden=(),
            label="y",
            says=Number(mean=1.0, deviation=2.0),
        ),
        cnn.Description(
            architecture=cnn.ARCHITECTURE,
            **image,
            height=6,
            width=5,
            widths=(2, 3),
            batch_norm=True,
            hidden=(4,),
            answer=Classes(classes=3),
        ),
        vgg.Description(
            architecture=vgg.ARCHITECTURE,
            **image,
            height=8,
            width=8,
            depth=11,
            first_width=1,
            batch_norm=False,
            hidden=(),
            answer=Classes(classes=2),
        ),
        lstm.Description(
            architecture=lstm.ARCHITECTURE,
            **text,
            embedding=2,
            hidden=2,
            layers=1,
            bidirectional=True,
            dropout=0.0,
            answer=Classes(classes=2),
        ),
    ]


@lru_cache(maxsize=1)
def models() -> list[bytes]:
    """Description and weights of a model of each architecture."""
    import torch

    from lamslsa.measure.models import weights
    from lamslsa.measure.models.features import NumberFeature

    source = torch.Generator().manual_seed(1)
    found = []
    for description in _descriptions():
        state = {name: torch.rand(shape, generator=source) + 0.5 for name, shape in description.shapes().items()}
        found.append(join(dump_description(description), weights.dump(state)))
    inner = json.loads(dump_description(_descriptions()[0]))
    int8 = {"architecture": "int8/1", "of": inner, "granularity": "channel"}
    small: dict[str, torch.Tensor] = {}
    for name, shape in _descriptions()[0].shapes().items():
        if len(shape) > 1:
            small |= {name: torch.ones(shape, dtype=torch.int8), f"{name}.scale": torch.ones(shape[0])}
        else:
            small[name] = torch.zeros(shape)
    found.append(join(_codec.dumps(int8), weights.dump(small)))
    numbers = [NumberFeature(name=name, mean=0.0, deviation=1.0) for name in "ab"]
    reads = {
        "type": "table",
        "features": [{"type": "number", "name": item.name, "mean": 0.0, "deviation": 1.0} for item in numbers],
    }
    described = {"architecture": "onnx/1", "reads": reads, "label": "y", "classes": 3}
    return [*found, join(_codec.dumps(described), onnx()[0])]


def named_files() -> list[bytes]:
    """Name and bytes of files as they lie in model folders."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps(print))
        archive.writestr("a/inner.zip", b"PK\x05\x06" + bytes(18))
        archive.writestr("../config.json", b'{"auto_map": {"AutoModel": "x.Y"}}')
    safe = b"\x30\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(48) + bytes(4)
    gguf = b"GGUF\3\0\0\0" + bytes(8) + b"\1\0\0\0\0\0\0\0" + b"\7\0\0\0\0\0\0\0general\4\0\0\0\1\0\0\0"
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps([1])
    files = {
        "model.safetensors": safe,
        "pytorch_model.bin": packed.getvalue(),
        "old.pkl": pickle.dumps({"a": print}, protocol=0),
        "new.pkl": pickle.dumps(complex(1, 2), protocol=4),
        "model.onnx": onnx()[0],
        "model.gguf": gguf,
        "array.npy": array,
        "config.json": b'{"auto_map": {"AutoModel": "x.Y"}, "class_name": "Lambda"}',
        "run.py": b"import os\nos.system('true')\n",
        "data.parquet": parquet()[0],
    }
    return [join(name.encode(), data) for name, data in files.items()]


def _base_job() -> dict[str, Any]:
    columns = [{"name": column.name, "type": column.type} for column in TABLE.columns]
    label = {"column": "income", "classes": {"low": 0, "high": 1}}
    csv = {"format": "csv", "delimiter": ",", "header": False, "trim": False, "nullToken": "?"}
    return {
        "apiVersion": "lamslsa.dev/job/v1",
        "kind": "Job",
        "schemas": {
            "people": {**csv, "columns": columns, "label": label},
            "typed": {"format": "parquet", "nullToken": "?", "columns": columns, "label": label},
            "sizes": {**csv, "columns": columns, "label": {"column": "rate", "type": "number"}},
            "pictures": {"format": "images", "channels": 3, "height": 4, "width": 3, "classes": {"a": 0, "b": 1}},
            "words": {"format": "text", "documents": "line"},
        },
        "datasets": {
            "people": {"schema": "people", "skipLines": 0, "groups": [["job"]], "overlap": ["other"]},
            "other": {"schema": "people", "skipLines": 0, "groups": [], "overlap": []},
            "typed": {"schema": "typed", "groups": [], "overlap": []},
            "sizes": {"schema": "sizes", "skipLines": 0, "groups": [], "overlap": []},
            "pictures": {"schema": "pictures", "overlap": []},
            "words": {"schema": "words", "overlap": []},
        },
    }


STEPS: Final[list[dict[str, Any]]] = [
    {"step": "dropDuplicates", "columns": "all"},
    {"step": "copy", "column": "job", "to": "work"},
    {"step": "mapValues", "column": "work", "values": {"Clerk": "office"}, "others": "keep"},
    {"step": "dropMissing", "columns": ["income"]},
    {"step": "bin", "column": "age", "edges": [18, 40], "labels": ["young", "grown", "old"]},
    {"step": "split", "into": {"train": 50, "test": 50}, "seed": 7, "together": [], "stratify": []},
    {"step": "impute", "columns": ["rate"], "with": "median", "learnedFrom": "train"},
]

OTHER_STEPS: Final[list[dict[str, Any]]] = [
    {"step": "filter", "column": "age", "operator": "<", "value": 60, "missing": "keep"},
    {"step": "filter", "column": "job", "operator": "in", "value": ["Clerk", "?"], "missing": "keep"},
    {"step": "rename", "names": {"rate": "wage"}},
    {
        "step": "encode",
        "column": "job",
        "as": "oneHot",
        "categories": "learned",
        "learnedFrom": "all",
        "unseen": "zeros",
    },
    {"step": "sort", "columns": ["age", "wage"], "descending": True},
    {"step": "sample", "rows": 1, "seed": 3},
    {"step": "drop", "columns": ["member"]},
    {"step": "impute", "columns": ["wage"], "with": "constant", "value": 1.5},
    {
        "step": "join",
        "dataset": "other",
        "on": {"age": "age"},
        "kind": "left",
        "bring": ["rate"],
        "repeated": "first",
    },
]


def job_text(**parts: Any) -> bytes:
    """A job file, as JSON, which is YAML too."""
    return _codec.dumps({**_base_job(), **parts})


def steps() -> list[bytes]:
    """Steps of a preprocessing."""
    return [_codec.dumps(STEPS), *(_codec.dumps(OTHER_STEPS[:count]) for count in (1, 3, len(OTHER_STEPS)))]


def properties() -> list[bytes]:
    """Properties of a datasheet, all and each."""
    return [_codec.dumps(PROPERTIES), *(_codec.dumps({key: value}) for key, value in PROPERTIES.items())]


@lru_cache(maxsize=1)
def jobs() -> list[bytes]:
    """Job files: one with every stage, one for each evaluation whose defaults are written down, the examples."""
    from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

    difference = {"dataset": "other", "confidenceLevel": 0.95}
    preprocess = {"transform": "preprocess/1", "dataset": "people", "steps": STEPS[:6], "nullToken": "?", "label": None}
    common = {"epochs": 1, "batchSize": 8, "learningRate": 0.001, "weightDecay": 0, "optimizer": "adam", "seed": 1}
    every = job_text(
        training={"trainer": "tabular-mlp/1", "model": "m", "dataset": "people", "hidden": [4], "drop": [], **common},
        transforms={
            "prepare": {**preprocess, "outputs": {"train": "a", "test": "b"}},
            "small": {"transform": "quantize-int8/1", "model": "q", "granularity": "channel", "difference": difference},
            "sparse": {"transform": "prune/1", "model": "p", "share": 0.5, "scope": "layer", "difference": difference},
        },
        inference={
            "measurer": "inference/1",
            "dataset": "people",
            "disclose": {"inputs": True, "outputs": False},
            "seed": None,
        },
        model={"measurer": "model-properties/1", "perTensor": True},
    )
    measured = [
        job_text(evaluation={"measurer": name, **json.loads(_codec.dumps(dict(fields))), **_asked(name)})
        for name, fields in DEFAULT_CONFIGURATIONS.items()
    ]
    examples = [
        _codec.dumps(_yaml.loads(path.read_bytes(), source=path.name).plain())
        for path in sorted((ROOT / "examples").glob("*/*.yaml"))
        if path.read_bytes().find(b"kind: Job") >= 0
    ]
    sheets = _base_job()
    sheets["datasets"]["people"]["properties"] = PROPERTIES
    return [every, _codec.dumps(sheets), *measured, *examples]


def _asked(measurer: str) -> dict[str, Any]:
    """What an evaluation needs beside its written defaults."""
    grouped = {"groups": [["job"]], "slices": [["job", "member"]]}
    more: dict[str, dict[str, Any]] = {
        "tabular-evaluation/1": grouped,
        "classification/1": {**grouped, "topK": [1]},
        "regression/1": {**grouped, "dataset": "sizes"},
        "group-fairness/1": {"groups": [["job"], ["job", "member"]]},
        "counterfactual-fairness/1": {
            "attributes": [{"column": "job", "values": ["Clerk", "Cook"]}],
            "coChanges": [
                {"attribute": "job", "from": "Clerk", "to": "Cook", "column": "member", "values": {"true": "false"}}
            ],
        },
        "membership-inference/1": {"train": "other"},
        "lira/1": {"train": "other"},
        "autoattack/1": {"dataset": "pictures"},
    }
    return {"dataset": "people", **more.get(measurer, {})}


def own_jobs() -> list[bytes]:
    """A job of a training loop of one's own."""
    job = {"apiVersion": "lamslsa.dev/own-training/v1", "kind": "OwnTraining", "model": "m"}
    more = {"datasets": {"train": "people"}, "models": {"base": "m0"}, "configuration": {"rate": 0.1, "list": [1, "a"]}}
    return [_codec.dumps(job | more)]


@lru_cache(maxsize=1)
def predicates() -> list[bytes]:
    """The examples of every predicate."""
    return [path.read_bytes() for path in sorted((ROOT / "predicates").glob("*/v1/examples/*.json"))]


_MODEL: Final = "22" * 32


@lru_cache(maxsize=1)
def inferences() -> tuple[bytes, tuple[bytes, ...]]:
    """A statement about five inferences, and a receipt for each: inputs closed, outputs disclosed."""
    made = []
    for index in range(5):
        salt, told = bytes([index]) * 32, {"age": index, "job": "Clerk"}
        record = inference_.Record(
            index=index,
            input=inference_.Side(commitment=inference_.commitment(salt, told)),
            output=inference_.Side(value={"probability": index / 8}),
        )
        made.append((record, {"input": {"salt": _codec.encode_base64(salt), "value": told}}))
    tree = Tree([leaf_hash(inference_.record_leaf(record)) for record, _ in made])
    digest = {"sha256": "33" * 32}
    configuration: dict[str, Any] = {"seed": None}
    predicate = {
        "kind": "model",
        "measurer": {"name": "inference", "version": "1"},
        "model": {"architecture": "tabular-mlp/1", "files": []},
        "dataset": {"name": "people", "digest": digest, "schemaDigest": digest},
        "configuration": configuration,
        "configurationDigest": {"sha256": _codec.sha256_hex(_codec.dumps(configuration))},
        "records": {"algorithm": "rfc9162-sha256", "size": len(made), "root": {"sha256": tree.root.hex()}},
        "environment": {"python": "CPython 3.11.7", "machine": {}, "variables": {}, "packages": []},
    }
    payload = statement.make([statement.Subject(name="m", sha256=_MODEL)], inference_.PREDICATE_TYPE, predicate)
    receipts_ = [
        _codec.canonical_with_fractions(
            {
                "type": inference_.RECEIPT_TYPE,
                "statement": {"sha256": _codec.sha256_hex(payload)},
                "treeSize": len(made),
                "record": _wire(record),
                "path": [item.hex() for item in tree.path(record.index)],
                "openings": opening,
            }
        )
        for record, opening in made
    ]
    return payload, tuple(receipts_)


def _wire(record: Any) -> Any:
    from lamslsa.predicates import to_wire

    return to_wire(record)


def receipts() -> list[bytes]:
    """The receipts, and one that opens nothing."""
    found = list(inferences()[1])
    closed = json.loads(found[0])
    closed["openings"] = {}
    return [*found, _codec.dumps(closed)]


@lru_cache(maxsize=1)
def sheet() -> tuple[bytes, dict[str, Any]]:
    """A datasheet that keeps two values back, and what they are, by pointer."""
    from lamslsa.predicates.commitments import commit

    document = json.loads((ROOT / "predicates/dataset/v1/examples/dataset.json").read_bytes())
    values: dict[str, Any] = {"/a": {"value": 5, "more": [1.5, None]}, "/b": "a text"}
    document["predicate"]["withheld"] = [
        {"pointer": pointer, "commitment": {"sha256": commit(value, _salt(pointer)).sha256}}
        for pointer, value in values.items()
    ]
    return _codec.dumps(document), values


def _salt(pointer: str) -> bytes:
    return pointer.encode().ljust(32, b"\1")


def openings() -> list[bytes]:
    """What opens the values of the sheet."""
    items = [
        {"pointer": pointer, "salt": _codec.encode_base64(_salt(pointer)), "value": value}
        for pointer, value in sheet()[1].items()
    ]
    return [_codec.dumps({"dataset": {"name": "people", "digest": {"sha256": "33" * 32}}, "openings": items})]


@lru_cache(maxsize=1)
def croissant() -> list[bytes]:
    """A document that we export, and one of another hand."""
    from lamslsa.croissant import to_croissant
    from lamslsa.croissant.vocabulary import CONTEXT

    exported = to_croissant((ROOT / "predicates/dataset/v1/examples/dataset.json").read_bytes())
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"rows/{name}",
            "name": name,
            "dataType": kind,
            "source": {"fileObject": {"@id": "file"}, "extract": {"column": name}},
        }
        for name, kind in (("age", "sc:Integer"), ("job", "sc:Text"))
    ]
    other = {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "people",
        "license": "CC-BY-4.0",
        "description": {"de": "Leute", "en": "people"},
        "rai:dataBiases": ["some"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "file",
                "name": "file",
                "contentUrl": "people.csv",
                "encodingFormat": "text/csv",
                "sha256": "33" * 32,
            }
        ],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields}],
    }
    return [_codec.dumps(other), _codec.dumps(exported)]
