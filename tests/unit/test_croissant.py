"""Croissant both ways, held against mlcroissant, the reference implementation."""

from __future__ import annotations

import copy
import importlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, predicates, statement
from lamslsa._cli.main import main
from lamslsa.artifact.reader import read_verified
from lamslsa.croissant import Imported, read_croissant, to_croissant
from lamslsa.croissant.fragment import job_fragment
from lamslsa.croissant.read import Table
from lamslsa.croissant.vocabulary import CONTEXT
from lamslsa.errors import FormatError
from lamslsa.measure import load_job
from lamslsa.predicates import Dataset
from lamslsa.testing.measuring import measure_dataset

# rdflib, which mlcroissant reads JSON-LD with, warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib", "ignore::DeprecationWarning:mlcroissant")

HEADER = "apiVersion: lamslsa.dev/job/v1\nkind: Job\n"
SCHEMA = """{format: csv, delimiter: ",", header: true, trim: false, nullToken: "", columns: [
  {name: age, type: integer}, {name: "a b", type: number}, {name: member, type: boolean}, {name: "city, \\"town\\"",
  type: string}, {name: y, type: string}], label: {column: y, classes: {"no": 0, "yes": 1}}}"""
JOB = f"""{HEADER}schemas:
  people: {SCHEMA}
datasets:
  people: {{schema: people, skipLines: 0, groups: [[y]], overlap: [other], declared: {{license: CC-BY-4.0,
    source: "https://example.com/people", description: "a table, made up",
    responsible: {{dataBiases: "all made up"}}}}}}
  other: {{schema: people, skipLines: 0, groups: [], overlap: []}}
"""
TABLE = (
    'age,a b,member,"city, ""town""",y\n'
    '41,0.5,true,Ulm,no\n17,1e-3,false,"K, ö",yes\n17,,true,Ulm,yes\n41,0.5,true,Ulm,no\n'
)
ROWS = [
    (41, 0.5, True, "Ulm", "no"),
    (17, 0.001, False, "K, ö", "yes"),
    (17, None, True, "Ulm", "yes"),
    (41, 0.5, True, "Ulm", "no"),
]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


@pytest.fixture
def sheet(people: Path) -> bytes:
    with read_verified(people, "dataset") as artifact:
        return measure_dataset(artifact, name="people", job=load_job(JOB.encode(), "j"), others={"other": artifact})


@pytest.fixture
def document(sheet: bytes) -> dict[str, Any]:
    return to_croissant(sheet)


@pytest.fixture
def mlc(caplog: pytest.LogCaptureFixture) -> Any:
    """The reference implementation; it warns of what is recommended and absent."""
    caplog.set_level(logging.ERROR)
    return pytest.importorskip("mlcroissant")


def parsed(data: Any) -> Imported:
    return read_croissant(json.dumps(data).encode())


# Export ---------------------------------------------------------------------------------------------------------------


def test_the_reference_implementation_takes_it_and_reads_the_rows(
    mlc: Any, document: dict[str, Any], people: Path
) -> None:
    path = people.parent / "croissant.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    dataset = mlc.Dataset(jsonld=path)
    assert dataset.metadata.ctx.issues.errors == set()
    assert dataset.metadata.name == "people"
    assert dataset.metadata.license == ["CC-BY-4.0"]
    assert dataset.metadata.description == "a table, made up"
    assert dataset.metadata.data_biases == ["all made up"]
    ids = ["records/age", "records/column-1", "records/member", "records/column-3", "records/y"]
    texts = [
        tuple(value.decode() if isinstance(value, bytes) else value for value in (record[key] for key in ids))
        for record in dataset.records("records")
    ]
    assert texts == ROWS


def test_the_reference_implementation_rejects_a_file_that_was_tampered_with(
    mlc: Any, document: dict[str, Any], people: Path
) -> None:
    path = people.parent / "croissant.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    people.write_text(TABLE.replace("41", "42"), encoding="utf-8")
    with pytest.raises(Exception, match="Download") as caught:
        list(mlc.Dataset(jsonld=path).records("records"))
    assert "hash" in str(caught.value.__cause__ or caught.value.__context__).lower()


def test_files_stand_with_their_digests(document: dict[str, Any], people: Path) -> None:
    (file,) = document["distribution"]
    assert file["sha256"] == _codec.sha256_hex(people.read_bytes())
    assert file["contentSize"] == f"{people.stat().st_size} B"
    assert (file["@id"], file["contentUrl"], file["encodingFormat"]) == ("people.csv", "people.csv", "text/csv")


def test_what_is_measured_and_what_is_declared_are_told_apart(document: dict[str, Any], sheet: bytes) -> None:
    assert document["lamslsa:declared"] == ["description", "isBasedOn", "license", "rai:dataBiases", "readAs"]
    assert document["isBasedOn"] == "https://example.com/people"
    digest = _codec.sha256_hex(sheet)
    assert document["subjectOf"]["sha256"] == digest
    headlines = {item["name"]: item for item in document["additionalProperty"]}
    assert {item["subjectOf"]["@id"] for item in headlines.values()} == {f"urn:sha256:{digest}"}
    assert {name: item["value"] for name, item in headlines.items()} == {
        "rows": 4,
        "duplicate rows": 1,
        "missing in age": 0,
        "missing in a b": 1,
        "missing in member": 0,
        'missing in city, "town"': 0,
        "missing in y": 0,
        "rows shared with other": 4,
    }
    predicate = json.loads(sheet)["predicate"]
    for key, value in document["measured"].items():
        assert value == predicate[key]
    assert {"rows", "columns", "duplicates", "distributions", "labelBalance", "overlaps"} <= set(document["measured"])
    assert not {"declared", "schema", "environment", "files"} & set(document["measured"])


def with_sheet(sheet: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    value = json.loads(sheet)
    change(value["predicate"])
    return _codec.dumps(value)


@pytest.mark.parametrize(
    "changed", [{"header": False}, {"skipLines": 1}, {"trim": True}, {"delimiter": ";"}, {"format": "arrow"}]
)
def test_fields_have_no_source_where_croissant_cannot_say_how_to_read(sheet: bytes, changed: dict[str, Any]) -> None:
    payload = with_sheet(sheet, lambda predicate: predicate["schema"].update(changed))
    (record_set,) = to_croissant(payload)["recordSet"]
    assert [field["name"] for field in record_set["field"]] == ["age", "a b", "member", 'city, "town"', "y"]
    assert not any("source" in field for field in record_set["field"])


@pytest.mark.parametrize(
    ("form", "delimiter", "expected"),
    [("csv", "\t", "text/tab-separated-values"), ("parquet", ",", "application/x-parquet"),
     ("jsonl", ",", "application/jsonlines")],
)  # fmt: skip
def test_other_formats_of_tables(sheet: bytes, form: str, delimiter: str, expected: str) -> None:
    change = {"format": form, "delimiter": delimiter}
    exported = to_croissant(with_sheet(sheet, lambda predicate: predicate["schema"].update(change)))
    assert exported["distribution"][0]["encodingFormat"] == expected
    assert all("source" in field for field in exported["recordSet"][0]["field"])


def test_images_have_files_and_no_records(mlc: Any, sheet: bytes, tmp_path: Path) -> None:
    files = [{"path": f"{name}/a {i}.PNG", "digest": {"sha256": "0" * 64}, "size": 1} for i, name in enumerate("xy")]

    def change(predicate: dict[str, Any]) -> None:
        schema = {"format": "images", "channels": 1, "height": 8, "width": 8, "classes": {"x": 0, "y": 1}}
        predicate.update(schema=schema, files=files, columns=[])

    exported = to_croissant(with_sheet(sheet, change))
    assert "recordSet" not in exported
    assert [file["@id"] for file in exported["distribution"]] == ["file-0", "file-1"]
    assert {file["encodingFormat"] for file in exported["distribution"]} == {"image/png"}
    (tmp_path / "c.json").write_text(json.dumps(exported), encoding="utf-8")
    assert len(mlc.Dataset(jsonld=tmp_path / "c.json").metadata.distribution) == 2


def test_more_measured_values_are_headlines(sheet: bytes) -> None:
    def change(predicate: dict[str, Any]) -> None:
        predicate["anonymity"] = [
            {"quasiIdentifiers": ["age", "y"], "samples": 4, "classes": 2, "smallestClass": 1, "rowsBelow": []}
        ]
        where = {"y": "yes"}
        predicate["shares"] = [{"where": where, "atLeast": 0.4, "by": "count", "samples": 4, "holds": True}]
        del predicate["duplicates"]

    exported = to_croissant(with_sheet(sheet, change))
    values = {item["name"]: item["value"] for item in exported["additionalProperty"]}
    assert values["k-anonymity over age, y"] == 1
    assert values["share of y=yes at least 0.4"] is True
    assert "duplicate rows" not in values


def test_another_statement_is_no_datasheet(sheet: bytes) -> None:
    value = json.loads(sheet)
    example = Path(__file__).parents[2] / "predicates/evaluation/v1/examples/evaluation.json"
    with pytest.raises(FormatError) as caught:
        to_croissant(example.read_bytes())
    assert caught.value.reason == "croissant-no-datasheet"
    with pytest.raises(FormatError):
        to_croissant(_codec.dumps({**value, "predicateType": "https://example.com/other"}))


# Import ---------------------------------------------------------------------------------------------------------------


def test_what_was_exported_comes_back_with_the_same_schema(document: dict[str, Any], sheet: bytes) -> None:
    imported = parsed(document)
    fragment = job_fragment(imported)
    job = load_job((HEADER + fragment).encode(), "job.yaml")
    predicate = predicates.parse(statement.parse(sheet))
    assert isinstance(predicate, Dataset)
    assert job.dataset("people").schema.sha256 == predicate.schema_digest.sha256
    assert job.dataset("people").declared == predicate.declared
    (table,) = imported.tables
    assert table.sha256 == document["distribution"][0]["sha256"]
    assert table.assumed == ()
    assert imported.left_out == ()


def test_a_table_that_croissant_cannot_read_comes_back_too(sheet: bytes) -> None:
    payload = with_sheet(
        sheet, lambda p: p["schema"].update(header=False, skipLines=3, trim=True, delimiter=";", nullToken="?")
    )
    job = load_job((HEADER + job_fragment(parsed(to_croissant(payload)))).encode(), "job.yaml")
    assert job.dataset("people").schema.resolved() == json.loads(payload)["predicate"]["schema"]


def built(mlc: Any, **more: Any) -> dict[str, Any]:
    """Metadata as the reference implementation writes it."""
    kinds = {"id": mlc.DataType.INTEGER, "x": mlc.DataType.FLOAT64, "when": mlc.DataType.DATE, "t": mlc.DataType.TEXT}
    fields = [
        mlc.Field(
            id=f"r/{name}",
            name=name,
            data_types=[kind],
            source=mlc.Source(file_object="data", extract=mlc.Extract(column=name)),
        )
        for name, kind in kinds.items()
    ]
    metadata = mlc.Metadata(
        name="made",
        description="by the reference implementation",
        license=["https://creativecommons.org/licenses/by/4.0/"],
        url="https://example.com/made",
        data_collection="asked people",
        distribution=[
            mlc.FileObject(id="data", name="data", content_url="d.csv", encoding_formats=["text/csv"], sha256="a" * 64)
        ],
        record_sets=[mlc.RecordSet(id="r", name="r", fields=fields)],
        **more,
    )
    value = json.loads(json.dumps(metadata.to_json(), default=str))
    assert isinstance(value, dict)
    return value


def test_metadata_of_the_reference_implementation(mlc: Any) -> None:
    imported = parsed(built(mlc))
    (table,) = imported.tables
    assert table.schema == {
        "format": "csv",
        "delimiter": ",",
        "header": True,
        "skipLines": 0,
        "trim": False,
        "nullToken": "",
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "x", "type": "number"},
            {"name": "when", "type": "string"},
            {"name": "t", "type": "string"},
        ],
        "label": None,
    }
    assert table.assumed == ('nullToken: ""', "trim: false", "label: null")
    assert (table.file, table.sha256) == ("d.csv", "a" * 64)
    assert imported.responsible == {"dataCollection": "asked people"}
    assert imported.declared == {
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "source": "https://example.com/made",
        "description": "by the reference implementation",
    }
    text = job_fragment(imported)
    assert 'Croissant does not say, and was taken: nullToken: "", trim: false, label: null\n' in text
    job = load_job((HEADER + text).encode(), "job.yaml")
    assert job.dataset("made").schema.resolved() == table.schema
    declared = job.dataset("made").declared
    assert declared is not None
    assert declared.responsible == {"dataCollection": "asked people"}


def test_what_is_imported_measures_the_file(mlc: Any, tmp_path: Path) -> None:
    job = load_job((HEADER + job_fragment(parsed(built(mlc)))).encode(), "job.yaml")
    path = tmp_path / "d.csv"
    path.write_text("id,x,when,t\n1,0.5,2026-01-01,a\n2,,2026-01-02,\n", encoding="utf-8")
    with read_verified(path, "dataset") as artifact:
        predicate = json.loads(measure_dataset(artifact, name="made", job=job))["predicate"]
    assert predicate["rows"] == 2
    assert [column["missing"] for column in predicate["columns"]] == [0, 1, 0, 1]


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    at: Any = made
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("@type",), "sc:Person", "croissant-type"),
        (("@type",), ["sc:Dataset"], "croissant-type"),
        (("@type",), {"@id": "sc:Dataset"}, "croissant-type"),
        (("@context",), "https://schema.org/", "croissant-context"),
        (("@context", "sc"), "https://evil.example/", "croissant-context"),
        (("@context", "column"), "cr:field", "croissant-context"),
        (("@context", "license"), "cr:other", "croissant-context"),
        (("@context", "dataType"), "cr:dataType", "croissant-context"),
        (("@context",), {}, "croissant-context"),
        (("conformsTo",), "http://mlcommons.org/croissant/0.8", "croissant-version"),
        (("conformsTo",), None, "croissant-version"),
        (("name",), "", "croissant-name"),
        (("name",), 7, "croissant-name"),
    ],
)
def test_another_document_is_refused(document: dict[str, Any], path: tuple[Any, ...], value: Any, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parsed(changed(document, path, value))
    assert caught.value.reason == reason


@pytest.mark.parametrize("data", [b"[]", b"", b'{"@type": "sc:Dataset", "@type": "sc:Dataset"}', b"NaN", b"\xff"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_croissant(data)


FIELD = ("recordSet", 0, "field", 0)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ((*FIELD, "source", "transform"), {"regex": "(.*)"}, "not read unchanged"),
        ((*FIELD, "source", "format"), "%Y", "not read unchanged"),
        ((*FIELD, "source", "extract"), {"fileProperty": "content"}, "no name that a column can have"),
        ((*FIELD, "source", "extract", "column"), "a\u202eb", "no name that a column can have"),
        ((*FIELD, "source", "fileObject"), {"@id": "elsewhere"}, "not columns of one file"),
        ((*FIELD, "source", "fileObject"), {"@id": ["x"]}, "not columns of one file"),
        ((*FIELD, "source"), "data", "no column"),
        ((*FIELD, "source", "extract", "column"), "y", "two fields read one column"),
        ((*FIELD, "subField"), [], "no single value"),
        ((*FIELD, "dataType"), "sc:ImageObject", "no type that a column can have"),
        ((*FIELD, "dataType"), ["sc:Text", "sc:Integer"], "no type that a column can have"),
        (("recordSet", 0, "field"), [], "it has 0 fields"),
        (("distribution", 0, "containedIn"), {"@id": "zip"}, "lies in an archive"),
        (("distribution", 0, "encodingFormat"), "application/zip", "of format application/zip"),
        (("distribution", 0, "@type"), "cr:FileSet", "not columns of one file"),
    ],
)
def test_a_record_set_that_is_no_table_is_left_out_and_named(
    document: dict[str, Any], path: tuple[Any, ...], value: Any, why: str
) -> None:
    plain = {key: item for key, item in document.items() if key != "readAs"}
    imported = parsed(changed(plain, path, value))
    assert imported.tables == ()
    (sentence,) = imported.left_out
    assert sentence.startswith("record set records: ")
    assert why in sentence
    assert "schemas: {}\n" in job_fragment(imported)


def test_our_schema_is_taken_only_if_the_record_set_says_the_same(document: dict[str, Any]) -> None:
    other = changed(document, ("readAs", "columns", 0, "type"), "number")
    assert parsed(other).tables[0].assumed != ()
    assert parsed(other).tables[0].schema["columns"][0] == {"name": "age", "type": "integer"}
    several: list[Any] = [[], {"columns": 7}, {"columns": [7] * 5}]
    for broken in several:
        assert parsed(changed(document, ("readAs",), broken)).tables[0].assumed != ()


def test_a_schema_of_ours_that_no_job_can_have_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        job_fragment(parsed(changed(document, ("readAs", "delimiter"), "x")))
    assert caught.value.reason == "yaml-choice"


HOSTILE = 'a"\\\u202e\n\u2028# {x}: [y] 😀'


def test_hostile_texts_stay_texts(document: dict[str, Any]) -> None:
    made = changed(changed(document, ("name",), HOSTILE), ("description",), HOSTILE)
    made["rai:dataBiases"] = HOSTILE
    made["rai:other"] = HOSTILE
    made["recordSet"].append({"@id": HOSTILE, "field": []})
    text = job_fragment(parsed(made))
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    job = load_job((HEADER + text).encode(), "job.yaml")
    (name,) = job.datasets
    assert name.startswith('a"\\')
    assert "😀" in name
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) == 4
    assert '# left out: rai:other: a"\\' in text


def test_several_tables_have_names_of_their_own(document: dict[str, Any]) -> None:
    made = copy.deepcopy(document)
    made["recordSet"] += [{**document["recordSet"][0], "name": "more"}, {**document["recordSet"][0], "name": "more"}]
    job = load_job((HEADER + job_fragment(parsed(made))).encode(), "job.yaml")
    assert list(job.datasets) == ["people records", "people more", "people more 2"]


def test_languages_and_objects(document: dict[str, Any]) -> None:
    made = changed(document, ("description",), {"de": "eine Tabelle", "en": "a table"})
    made["license"] = [{"@type": "sc:CreativeWork", "url": "https://example.com/l"}, "MIT"]
    assert parsed(made).declared["description"] == "a table"
    assert parsed(made).declared["license"] == "https://example.com/l, MIT"
    assert parsed(changed(made, ("description",), {"de": "eine Tabelle"})).declared["description"] == "eine Tabelle"


def test_the_context_is_that_of_the_reference_implementation(mlc: Any) -> None:
    assert mlc  # the import alone says whether it is installed
    core = "mlcroissant._src.core"
    context = importlib.import_module(f"{core}.context").Context()
    ours = {key: value for key, value in CONTEXT.items() if key not in ("lamslsa", "measured", "readAs")}
    assert ours == importlib.import_module(f"{core}.rdf").make_context(context)


@pytest.mark.parametrize("said", ["{other: x}", "{dataBiases: 7}", "all made up"])
def test_a_job_says_what_croissant_has_words_for(said: str) -> None:
    with pytest.raises(FormatError) as caught:
        load_job(JOB.replace('{dataBiases: "all made up"}', said).encode(), "job.yaml")
    assert caught.value.reason in ("yaml-unknown-key", "yaml-type")


# Command line ---------------------------------------------------------------------------------------------------------


def test_export_and_import_on_the_command_line(
    sheet: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sheet.json").write_bytes(sheet)
    assert main(["croissant", "export", str(tmp_path / "sheet.json")]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == to_croissant(sheet)
    assert f"sha256:{_codec.sha256_hex(sheet)}, which is NOT verified here" in err
    (tmp_path / "croissant.json").write_text(out, encoding="utf-8")
    assert main(["croissant", "import", str(tmp_path / "croissant.json")]) == 0
    fragment = capsys.readouterr().out
    assert load_job((HEADER + fragment).encode(), "job.yaml").dataset("people")
    assert main(["croissant", "import", str(tmp_path / "croissant.json"), "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["job"] == fragment
    assert said["tables"][0]["schema"]["nullToken"] == ""
    assert main(["croissant", "export", str(tmp_path / "sheet.json"), "--name", "x", "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "croissant-datasheets"


def test_a_bundle_holds_a_datasheet(sheet: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lamslsa.sign.dsse import make_bundle

    bundle = make_bundle(sheet, signature=b"no signature", key_hint=_codec.encode_base64(bytes(32)))
    (tmp_path / "a.sigstore.json").write_bytes(bundle)
    (tmp_path / "b.intoto.jsonl").write_bytes(bundle + b"\n" + bundle + b"\n")
    assert main(["croissant", "export", str(tmp_path / "a.sigstore.json"), "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "people"
    assert main(["croissant", "export", str(tmp_path / "b.intoto.jsonl")]) == 3
    (tmp_path / "a.sigstore.json").write_bytes(bundle[:-1])
    assert main(["croissant", "export", str(tmp_path / "a.sigstore.json")]) == 3


def test_it_needs_no_measuring_library(sheet: bytes, tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "sheet.json").write_bytes(sheet)
    code = (
        "import sys\nfrom lamslsa._cli.main import main\n"
        "for words in (['export', sys.argv[1]],):\n    assert main(['croissant', *words, '--quiet']) == 0\n"
        "from lamslsa.croissant.fragment import job_fragment\n"
        "loaded = {'torch', 'duckdb', 'numpy', 'mlcroissant', 'pandas'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "sheet.json")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tables_of_one_name_are_all_kept() -> None:
    columns = [{"name": name, "type": "integer"} for name in "ab"]
    schema = {"format": "jsonl", "nullToken": None, "columns": columns, "label": None}
    names = ["x", "x 2", "x", "x 2", "y"]
    tables = tuple(Table(name=name, schema=schema, file="f", sha256=None, assumed=()) for name in names)
    text = job_fragment(Imported(name="d", tables=tables, declared={}))
    assert len(load_job((HEADER + text).encode(), "job.yaml").datasets) == len(names)
