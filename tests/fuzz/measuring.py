"""What takes data, models and job files apart, and what proves something of a measurement: one target each.

What is taken is also held against somebody else's reading of the same bytes, where there is one: a table by pyarrow or
by Python's own JSON. Receipts, openings, checkpoints and spools give back what was put in, or nothing.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, Final
from unittest.mock import patch

from lamslsa import _codec, statement
from lamslsa.artifact.spool import BLOCK_BYTES, SpoolFile
from lamslsa.errors import FormatError
from lamslsa.measure import environment
from lamslsa.measure.checkpoints import SealedFolder
from lamslsa.measure.data.jsonl import JsonLines
from lamslsa.measure.data.schema import TableFormat, TextSchema
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.interface import Context, Given, Plan
from tests.fuzz import measuring_seeds as seeds
from tests.fuzz.guard import Guarded
from tests.fuzz.measuring_seeds import artifact
from tests.fuzz.mutate import join, split
from tests.fuzz.parsers import attempt, require
from tests.fuzz.target import KIB, Target

__all__ = ["TARGETS"]

_COLUMNS: Final = [column.name for column in seeds.TABLE.columns]


def _table(form: TableFormat, others: Callable[[bytes], Mapping[str, Sequence[Any]] | None]) -> Any:
    """Everything that may be asked of a table."""
    schema = replace(seeds.TABLE, format=form, delimiter="," if form == "csv" else "")

    def take(data: bytes) -> object:
        source = Source(file=artifact({"table": data}).only(), schema=schema)
        if form == "jsonl":  # before there is a database, which takes longer
            with ExitStack() as stack:
                list(JsonLines(source.file, schema, stack)._batches())
        with open_tables({"t": source}) as tables:
            table = tables["t"]
            rows = [table.values(name).tolist() for name in _COLUMNS]
            counts = table.column_counts()
            require(all(len(values) == table.rows for values in rows), "columns of other lengths")
            require(0 <= table.duplicates() < table.rows, "more duplicates than rows")
            missing = [sum(value is None or value != value for value in values) for values in rows]
            require([count for count, _ in counts] == missing, "missing values that are there")
            parts = [batch["age"].tolist() for batch in table.batches(["age"], rows=2)]
            require(str([value for part in parts for value in part]) == str(rows[0]), "batches of other rows")
            attempt(table.cells, ["job", "member"], limit=4)
            _require_same(table, dict(zip(_COLUMNS, rows, strict=True)), others(data))
            return rows

    return take


def _require_same(table: Table, rows: Mapping[str, list[Any]], others: Mapping[str, Sequence[Any]] | None) -> None:
    """What another library reads in the same bytes is what we read."""
    if others is None:
        return
    classes = table.schema.target.classes or {}
    for name, values in rows.items():
        for ours, theirs in zip(values, others[name], strict=True):
            if name == "income":
                same = classes.get(str(theirs)) == ours
            elif theirs is None or (isinstance(theirs, str) and theirs == table.schema.null_token):
                same = ours is None or ours != ours
            else:
                same = ours == (theirs if isinstance(theirs, (str, bool)) else float(theirs))
            require(same, f"{name}: {ours!r:.80}, where another reads {theirs!r:.80}")


def _no_others(data: bytes) -> None:
    del data


def _parquet_of_pyarrow(data: bytes) -> Mapping[str, Sequence[Any]] | None:
    import pyarrow.parquet as pq

    try:
        found: Mapping[str, Sequence[Any]] = pq.read_table(io.BytesIO(data), use_threads=False).to_pydict()
    except Exception:  # noqa: BLE001 - it refuses, or cannot
        return None
    return found


def _arrow_by_footer(data: bytes) -> Mapping[str, Sequence[Any]] | None:
    """We read in order, and another may read by the footer."""
    import pyarrow as pa

    try:
        with pa.ipc.open_file(io.BytesIO(data)) as reader:
            found: Mapping[str, Sequence[Any]] = reader.read_all().to_pydict()
    except Exception:  # noqa: BLE001 - it refuses, or cannot
        return None
    return found


def _json_rows(data: bytes) -> Mapping[str, Sequence[Any]]:
    rows = [json.loads(line) for line in data.removesuffix(b"\n").split(b"\n")]
    return {name: [row[name] for row in rows] for name in _COLUMNS}


def _images(data: bytes) -> object:
    """As each format, by its suffix: pixels as another reading of the file has them."""
    from lamslsa.measure.data.images import read_images

    found = [
        attempt(read_images, artifact({f"a/picture{suffix}": data}), seeds.IMAGES)
        for suffix in (".png", ".jpg", ".bmp")
    ]
    taken = [item for item in found if item is not None]
    if not taken:
        raise FormatError("expected an image, got none", reason="fuzz")
    require(len(taken) == 1, "one file as images of two formats")
    require(taken[0].pixels.shape == (1, 3, 4, 3), "an image of another shape")
    return taken


def _texts(data: bytes) -> object:
    from lamslsa.measure.data.texts import read_texts

    files = artifact({"a.txt": data})
    (whole,) = read_texts(files, TextSchema(documents="file"))
    lines = attempt(list, read_texts(files, TextSchema(documents="line"))) or []
    require("\n".join(lines) == whole.removesuffix("\n"), "lines that are no part of the file")
    return whole


def _model(data: bytes) -> object:
    """Build a model and ask it, if its inputs are few."""
    import numpy as np

    from lamslsa.measure.models.features import input_width
    from lamslsa.measure.models.interface import ImageInputs, TableInputs
    from lamslsa.measure.models.loading import ARCHITECTURES, load_model, parse_description
    from lamslsa.measure.models.predict import predict

    told, weights = split(data, 2)
    described = parse_description(told)
    files = {"model.json": told, ARCHITECTURES[described.architecture].weights: weights}
    loaded = load_model(artifact(files, "model"))
    match described.inputs:
        case ImageInputs(channels=channels, height=height, width=width):
            shape: tuple[int, ...] = (channels, height, width)
        case TableInputs(features=features):
            shape = (input_width(features),)
        case text:
            shape = (text.length,)
    if math.prod(shape) > 10_000:
        return loaded
    kind = np.float32 if isinstance(described.inputs, (ImageInputs, TableInputs)) else np.int64
    inputs = np.zeros((2, *shape), dtype=kind)
    scores = attempt(predict, loaded, inputs, Context())
    require(scores is None or (len(scores) == 2 and bool(np.isfinite(scores).all())), "answers that are none")
    return loaded


def _onnx(data: bytes) -> object:
    return _model(join(_described(), data))


@lru_cache(maxsize=1)
def _described() -> bytes:
    return split(seeds.models()[-1], 2)[0]


def _scan(data: bytes) -> object:
    """A file under any name, alone and as the only file of a model."""
    from lamslsa.measure.model.scan import MAX_FINDINGS, scan

    name, content = split(data, 2)
    path = name.decode("utf-8", "replace")[:200]
    found = scan(iter([(path, memoryview(content))]))
    require(len(found.findings) <= MAX_FINDINGS + 1, "more findings than there may be")
    told = not found.formats[path].startswith(("unknown", "pickle", "elf", "python")) or bool(found.findings)
    require(told, f"nothing said of {found.formats}")
    _require_told(content, found.findings)
    return found


def _require_told(content: bytes, findings: Iterable[Any]) -> None:
    """Whatever Python's own unpickler would call is found, and so is what comes to an end with something imported."""
    import pickle

    class CalledError(Exception):
        """Something was called."""

    class Imported:
        def __init__(self, *_: object, **__: object) -> None:
            raise CalledError

        def __call__(self, *_: object) -> None:
            raise CalledError

    imported: list[str] = []

    class Spy(pickle._Unpickler):  # the one in C takes gigabytes for a memo of one
        def find_class(self, module: str, name: str) -> Any:
            imported.append(f"{module}.{name}")
            return Imported

    try:
        Spy(io.BytesIO(content)).load()
    except CalledError:
        pass
    except Exception:  # noqa: BLE001 - no pickle, or a broken one
        return
    require(not imported or any(item.severity == "code" for item in findings), f"imports {imported}, nothing found")


def _properties(data: bytes) -> object:
    """The measurement of a model folder with that one file."""
    name, content = split(data, 2)
    path = name.decode("utf-8", "replace")[:80]
    model = attempt(artifact, {path: content}, "model")
    if model is None:
        raise FormatError("expected a path, got none", reason="fuzz")
    return _statements(_job(seeds.jobs()[0]).require_model(), {"model": model})


# No input changes what is installed, and to look takes longer than most measurements.
_descriptor = cache(environment._descriptor)
_installed = cache(environment._closure)


def _closure(packages: Iterable[str]) -> Any:
    return _installed(tuple(packages))


def _statements(plan: Plan, inputs: Mapping[str, Any]) -> list[bytes]:
    from lamslsa import predicates

    given = {role: Given(artifact=its, name=role) for role, its in inputs.items()}
    with patch.multiple(environment, _closure=_closure, _descriptor=_descriptor):
        made = [payload.data for payload in plan.measure(given, Context()).statements]
    for payload in made:
        predicates.parse(statement.parse(payload))
    return made


@lru_cache(maxsize=4)
def _job(data: bytes) -> Any:
    from lamslsa.measure.job import load_job

    return load_job(data, "job.yaml")


def _load_job(data: bytes) -> object:
    """A job, and what each of its plans would do."""
    from lamslsa.measure.job import load_job

    job = load_job(data, "job.yaml")
    plans = [*job.sheets.values(), *job.transforms.values(), *job.evaluations.values()]
    plans += [plan for plan in (job.training, job.inference, job.model) if plan is not None]
    for plan in plans:
        require(bool(plan.steps()) and all(item.role for item in plan.inputs), f"a plan of nothing: {plan}")
        require(str(plan.measurer).count("/") == 1, "a measurer without a version")
    return job


def _own_job(data: bytes) -> object:
    from lamslsa.measure.training.own import load_own_training

    plan = load_own_training(data, "own.yaml")
    _codec.dumps(dict(plan.configuration))
    return plan.steps(), plan.inputs


def _prepare(data: bytes) -> object:
    """Steps of a preprocessing, run on four rows."""
    declared = _codec.loads(data)
    if not isinstance(declared, list):
        raise FormatError("expected steps, got others", reason="fuzz")
    parts = _parts(declared)
    transform = {
        "transform": "preprocess/1",
        "dataset": "people",
        "steps": declared,
        "nullToken": "?",
        "label": None,
        "outputs": {part: f"made-{part}" for part in parts},
    }
    plan = _job(seeds.job_text(transforms={"t": transform})).require_transform("t")
    return _statements(plan, _given(plan))


def _given(plan: Plan) -> dict[str, Any]:
    return {item.role: artifact({"rows.csv": seeds.CSV}) for item in plan.inputs}


def _parts(declared: Sequence[Any]) -> list[str]:
    for step in reversed(declared):
        match step:
            case {"step": "split", "into": dict() as into}:
                return list(into)
    return ["all"]


def _sheet(data: bytes) -> object:
    """Properties of a datasheet, measured on four rows."""
    declared = _codec.loads(data)
    document = json.loads(seeds.job_text())
    document["datasets"]["people"]["properties"] = declared
    plan = _job(_codec.dumps(document)).sheet("people")
    return _statements(plan, _given(plan))


def _receipt(data: bytes) -> object:
    """What a receipt proves is what was inferred; a side may be closed."""
    from lamslsa.receipts import parse_receipt, verify_receipt

    parsed = statement.parse(seeds.inferences()[0])
    found = verify_receipt(parse_receipt(data), parsed)
    original = verify_receipt(parse_receipt(seeds.inferences()[1][found.index]), parsed)
    require(found in (original, replace(original, input=None)), f"an inference that was none: {found}")
    return found


def _inference(data: bytes) -> object:
    """The receipts under another statement: proved is what they say, or nothing."""
    from lamslsa import predicates
    from lamslsa.receipts import parse_receipt, verify_receipt

    parsed = statement.parse(data)
    predicate = predicates.parse(parsed)
    for receipt in seeds.inferences()[1]:
        found = attempt(verify_receipt, parse_receipt(receipt), parsed)
        require(found is None or data == seeds.inferences()[0], "a receipt of another statement")
    return predicate


def _predicates(data: bytes) -> object:
    """Every predicate, as what is emitted again."""
    from lamslsa import predicates

    parsed = statement.parse(data)
    predicate = predicates.parse(parsed)
    again = statement.make(parsed.subjects, parsed.predicate_type, predicates.to_wire(predicate))
    require(predicates.parse(statement.parse(again)) == predicate, "a predicate that says something else again")
    return predicate


def _openings(data: bytes) -> object:
    """What an opening gives is what was withheld."""
    from lamslsa import predicates
    from lamslsa.predicates.commitments import open_commitment, parse_openings

    payload, values = seeds.sheet()
    sheet: Any = predicates.parse(statement.parse(payload))
    found = {}
    for opening in parse_openings(data).openings:
        value = open_commitment(sheet, opening)
        require(_codec.canonical_with_fractions(value) == _codec.canonical_with_fractions(values[opening.pointer]), "?")
        found[opening.pointer] = value
    return found


def _croissant(data: bytes) -> object:
    """A document, as parts of a job file that is one."""
    from lamslsa import _yaml
    from lamslsa.croissant import read_croissant
    from lamslsa.croissant.fragment import job_fragment

    imported = read_croissant(data)
    text = attempt(job_fragment, imported)
    if text is not None:
        document = _yaml.loads(text.encode(), source="job.yaml").plain()
        require(len(document["schemas"]) == len(document["datasets"]) == len(imported.tables), "a table that is lost")
        require(set(document) == {"schemas", "datasets"}, f"other parts: {sorted(document)}")
    return imported


_WORK: Final = b"w" * 32
_STATES: Final = (b"a state", bytes(1000), b"")


@lru_cache(maxsize=1)
def _checkpoints() -> list[bytes]:
    """Sealed states; made anew in every run, since the salts are."""
    import tempfile
    from pathlib import Path

    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = SealedFolder(Path(name), key=bytes(32))
        for state in _STATES:
            folder.keep(_WORK, state)
            (path,) = Path(name).iterdir()
            found.append(path.read_bytes())
    return found


def _checkpoint(data: bytes) -> object:
    from pathlib import Path

    state = SealedFolder(Path("/nowhere"), key=bytes(32))._opened(_WORK, data)
    require(state is None or data in _checkpoints(), "a state that nobody kept")
    if state is None:
        raise FormatError("expected a checkpoint, got none", reason="fuzz")
    return state


@lru_cache(maxsize=1)
def _spool() -> tuple[SpoolFile, int, bytes]:
    descriptor = os.memfd_create("fuzz")
    file = SpoolFile(descriptor)
    file.write(b"spooled" * 200)
    file.seal()
    return file, descriptor, os.pread(descriptor, BLOCK_BYTES, 0)


def _spooled(data: bytes) -> object:
    """Whatever the host makes of the file, it is what was written, or refused."""
    file, descriptor, sealed = _spool()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)
    found = file.open(7, 1000).read()
    require(found == (b"spooled" * 200)[7:1000] and data[: len(sealed)] == sealed, "bytes that were never written")
    return found


def _target(take: Callable[[bytes], object], made: Callable[[], Sequence[bytes]], **more: Any) -> Target:
    return Target(take=Guarded(take, made), seeds=made, **more)


def _csv_seeds() -> list[bytes]:
    return [seeds.CSV, seeds.CSV.replace(b"\n", b"\r\n"), seeds.CSV.removesuffix(b"\n")]


def _texts_seeds() -> list[bytes]:
    return ["one\ntwo, zwei: zwö\n\n日本\n".encode(), b"no end", b"\r\n"]


TARGETS: Final[Mapping[str, Target]] = {
    "table-csv": _target(_table("csv", _no_others), _csv_seeds, rounds=25, max_bytes=4 * KIB),
    "table-parquet": _target(_table("parquet", _parquet_of_pyarrow), seeds.parquet, rounds=25, max_bytes=8 * KIB),
    "table-jsonl": _target(_table("jsonl", _json_rows), seeds.jsonl, rounds=25, max_bytes=4 * KIB),
    "table-arrow": _target(_table("arrow", _arrow_by_footer), seeds.arrow, rounds=25, max_bytes=8 * KIB),
    "images": _target(_images, seeds.images, max_bytes=4 * KIB),
    "texts": _target(_texts, _texts_seeds, max_bytes=4 * KIB),
    "model": _target(_model, seeds.models, parts=2, rounds=40, max_bytes=64 * KIB),
    "onnx": _target(_onnx, seeds.onnx, rounds=40, max_bytes=4 * KIB),
    "model-scan": _target(_scan, seeds.named_files, parts=2),
    "model-properties": _target(_properties, seeds.named_files, parts=2, rounds=10),
    "job": _target(_load_job, seeds.jobs),
    "own-training": _target(_own_job, seeds.own_jobs, max_bytes=4 * KIB),
    "preprocess": _target(_prepare, seeds.steps, rounds=10, max_bytes=4 * KIB),
    "datasheet": _target(_sheet, seeds.properties, rounds=10, max_bytes=4 * KIB),
    "receipt": _target(_receipt, seeds.receipts, max_bytes=4 * KIB),
    "inference": _target(_inference, lambda: [seeds.inferences()[0]], max_bytes=4 * KIB),
    "predicates": _target(_predicates, seeds.predicates, max_bytes=64 * KIB),
    "openings": _target(_openings, seeds.openings, max_bytes=4 * KIB),
    "croissant": _target(_croissant, seeds.croissant),
    "checkpoint-state": _target(_checkpoint, _checkpoints, max_bytes=2 * KIB),
    "spool": _target(_spooled, lambda: [_spool()[2]], max_bytes=4 * KIB),
}
