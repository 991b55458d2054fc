"""Overlap after normalisation, near duplicates and runs of words, each against brute force; texts as datasets."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import unicodedata
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure import load_job
from lamslsa.measure.dataset import near, ngrams
from lamslsa.measure.dataset.near import NearDuplicates
from lamslsa.predicates import Dataset
from lamslsa.testing.measuring import measure_dataset

Read = Callable[..., VerifiedArtifact]

JOB = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  table: {format: csv, delimiter: ",", header: false, trim: false, nullToken: "?", label: null,
    columns: [{name: text, type: string}, {name: value, type: number}, {name: count, type: integer},
              {name: flag, type: boolean}]}
  lines: {format: text, documents: line}
  files: {format: text, documents: file}
datasets:
  one: {schema: table, skipLines: 0, groups: [], overlap: [two], properties: PROPERTIES}
  two: {schema: table, skipLines: 0, groups: [], overlap: []}
  corpus: {schema: lines, overlap: [], properties: CORPUS}
  other: {schema: lines, overlap: [corpus]}
  folder: {schema: files, overlap: []}
"""
NORMALIZED = "{normalization: {text: [nfc, casefold, trim], digits: 2}}"
NEAR = (
    "{normalization: [nfkc, casefold], unit: letters, size: 2, threshold: 0.6, permutations: 128, bands: 64, rows: 2}"
)
NGRAMS = "{with: other, n: 3, normalization: [casefold], words: letters}"
WORDS = tuple(re.findall(r"\w+", "the a red green fox dog runs jumps over under lazy quick river stone ÉTÉ straße"))


def job_of(
    properties: str = NORMALIZED, corpus: str = f"{{nearDuplicates: [{NEAR}], ngramOverlap: [{NGRAMS}]}}"
) -> Any:
    return load_job(JOB.replace("PROPERTIES", properties).replace("CORPUS", corpus).encode(), "job.yaml")


def parsed(payload: bytes) -> Dataset:
    predicate = predicates.parse(statement.parse(payload))
    assert isinstance(predicate, Dataset)
    return predicate


def draw_texts(count: int, seed: int) -> list[str]:
    """Sentences, some of them copies with a word changed or the case of all letters."""
    source = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        if found and source.random() < 0.4:
            words = source.choice(found).split()
            if source.random() < 0.7 and words:
                words[source.randrange(len(words))] = source.choice(WORDS)
            found.append(" ".join(words).upper() if source.random() < 0.2 else " ".join(words))
        else:
            found.append(" ".join(source.choices(WORDS, k=source.randint(0, 14))))
    return found


def test_overlap_finds_rows_that_differ_in_spelling_only(read: Read) -> None:
    one = [
        "Café,1.001,1,true",
        "CAFE\u0301 ,1.004,1,true",
        "STRASSE,?,2,false",
        "x,0.125,3,?",
        "y,1,1,true",
        "?,1,1,true",
    ]
    two = ["café,1,1,true", "straße,?,2,false", "X,0.12,3,?", "y,1,2,true", " ?,1,1,true"]
    mine, theirs = (read({"t": "\n".join(rows).encode()}) for rows in (one, two))
    without = parsed(measure_dataset(mine, name="one", job=job_of("{}"), others={"two": theirs})).overlaps[0]
    sheet = parsed(measure_dataset(mine, name="one", job=job_of(), others={"two": theirs}))
    (found,) = sheet.overlaps
    assert (without.rows, without.distinct) == (0, 0)
    assert (found.rows, found.distinct, found.samples) == (4, 3, 6)  # a missing text is not the text "?"
    assert sheet.configuration["normalization"] == {"text": ["nfc", "casefold", "trim"], "digits": 2}


def test_overlap_against_brute_force(read: Read) -> None:
    source = random.Random(5)

    def rows(count: int) -> list[tuple[str, float | None, int, bool]]:
        return [
            (
                source.choice(["a", "A", "ä", "a\u0308", " b", "b"]),
                source.choice([None, source.uniform(0, 0.5)]),
                source.randint(1, 3),
                source.random() < 0.5,
            )
            for _ in range(count)
        ]

    def key(row: tuple[str, float | None, int, bool], digits: int | None) -> tuple[Any, ...]:
        text = unicodedata.normalize("NFC", row[0]).casefold().strip()
        return text, row[1] if row[1] is None or digits is None else round(row[1], digits), *row[2:]

    def to_csv(rows: list[tuple[str, float | None, int, bool]]) -> bytes:
        return "".join(f"{a},{'?' if b is None else repr(b)},{c},{str(d).lower()}\n" for a, b, c, d in rows).encode()

    one, two = rows(300), rows(200)
    artifacts = [read({"t": to_csv(side)}) for side in (one, two)]
    for digits in (0, 1, 2, None):
        job = job_of(NORMALIZED.replace("digits: 2", f"digits: {'null' if digits is None else digits}"))
        (found,) = parsed(measure_dataset(artifacts[0], name="one", job=job, others={"two": artifacts[1]})).overlaps
        mine, theirs = [key(row, digits) for row in one], {key(row, digits) for row in two}
        assert (found.rows, found.distinct) == (sum(row in theirs for row in mine), len(theirs & set(mine)))
        assert found.rows > 0


def test_rows_are_compared_whatever_the_format(read: Read) -> None:
    """The same rows as CSV, Parquet and JSON Lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = [
        {"text": text, "value": value, "count": number % 3, "flag": number % 2 == 0}
        for number, (text, value) in enumerate([("a", 1.5), (None, 2.25), ("É", None), ("b", -0.5), ("b", 1e-3)] * 4)
    ]
    kinds = pa.schema([("text", pa.string()), ("value", pa.float64()), ("count", pa.int64()), ("flag", pa.bool_())])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=kinds), sink)
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    fields = [["?" if row[k] is None else json.dumps(row[k]).strip('"') for k in row] for row in rows]
    texts = "".join(",".join(["É" if field == "\\u00c9" else field for field in each]) + "\n" for each in fields)
    columns = JOB[JOB.index("columns: [") : JOB.index("]}\n")] + "]"
    schemas = "".join(
        f"  {form}: {{format: {form}, nullToken: null, label: null, {columns}}}\n" for form in ("parquet", "jsonl")
    )
    for form, data in (("parquet", sink.getvalue()), ("jsonl", lines)):
        for properties in ("{}", NORMALIZED.replace("digits: 2", "digits: 3")):
            text = (
                JOB.replace("PROPERTIES", properties)
                .replace("CORPUS", "{}")
                .replace("datasets:\n", f"{schemas}datasets:\n")
            )
            text = text.replace("two: {schema: table, skipLines: 0,", f"two: {{schema: {form},")
            job = load_job(text.encode(), "job.yaml")
            others = {"two": read({f"t.{form}": data})}
            (found,) = parsed(measure_dataset(read({"t": texts.encode()}), name="one", job=job, others=others)).overlaps
            assert (found.rows, found.distinct) == (20, len({tuple(row.values()) for row in rows})), (form, properties)


def test_a_model_is_no_dataset(read: Read) -> None:
    with pytest.raises(FormatError) as caught:
        measure_dataset(read({"a.txt": b"x"}, "model"), name="folder", job=job_of())
    assert caught.value.reason == "dataset-kind"


def test_texts_are_counted(read: Read) -> None:
    texts = ["one two", "", "one two", "Ünïcode\u00a0𝔘 text", "  "]
    sheet = parsed(
        measure_dataset(
            read({"t": "\n".join(texts).encode() + b"\n"}),
            name="other",
            job=job_of(),
            others={"corpus": read({"c": b"one two\nanother\n"})},
        )
    )
    assert str(sheet.measurer) == "text-dataset/1"
    assert sheet.documents is not None
    found = sheet.documents
    assert (found.documents, found.empty) == (5, 2)
    assert (found.characters, found.words) == (sum(map(len, texts)), 7)
    assert sheet.duplicates is not None
    assert (sheet.rows, sheet.duplicates.rows) == (5, 1)
    assert sheet.schema == {"format": "text", "documents": "line"}
    (overlap,) = sheet.overlaps
    assert (overlap.rows, overlap.distinct, overlap.columns) == (2, 1, ("text",))


def test_a_document_may_be_a_file(read: Read) -> None:
    sheet = parsed(measure_dataset(read({"a.txt": b"one\ntwo\n", "b.txt": b"three\n"}), name="folder", job=job_of()))
    assert sheet.documents is not None
    assert (sheet.rows, sheet.documents.words) == (2, 3)


def shingles(text: str, size: int = 2) -> frozenset[str]:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return (
        frozenset(" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))) if words else frozenset()
    )


def test_near_duplicates_against_brute_force(read: Read) -> None:
    texts = draw_texts(150, 3)
    others = draw_texts(60, 4)
    one, two = (read({"t": ("\n".join(side) + "\n").encode()}) for side in (texts, others))
    payload = measure_dataset(one, name="corpus", job=job_of(), others={"other": two})
    assert payload == measure_dataset(one, name="corpus", job=job_of(), others={"other": two})
    (found,) = parsed(payload).near_duplicates
    sets = [each for each in map(shingles, texts) if each]
    distinct = list(dict.fromkeys(sets))
    pairs = [(a, b) for a, b in combinations(distinct, 2) if 10 * len(a & b) >= 6 * len(a | b)]
    similar = {each for pair in pairs for each in pair}
    assert found.samples == len(sets)
    assert found.distinct == len(distinct)
    assert found.pairs == len(pairs) > 10  # with 64 bands of 2 rows a pair at the threshold is missed once in 10^12
    assert found.candidates >= found.pairs
    assert found.documents == sum(sets.count(each) > 1 or each in similar for each in sets)
    assert found.recall == pytest.approx(1 - (1 - 0.6**2) ** 64)
    assert found.column is None


def test_few_bands_miss_pairs_and_count_none_wrongly(read: Read) -> None:
    texts = draw_texts(150, 3)
    one = read({"t": ("\n".join(texts) + "\n").encode()})
    corpus = f"{{nearDuplicates: [{NEAR.replace('128, bands: 64, rows: 2', '20, bands: 2, rows: 10')}]}}"
    (found,) = parsed(measure_dataset(one, name="corpus", job=job_of(corpus=corpus))).near_duplicates
    distinct = list(dict.fromkeys(each for each in map(shingles, texts) if each))
    pairs = [(a, b) for a, b in combinations(distinct, 2) if 10 * len(a & b) >= 6 * len(a | b)]
    assert found.pairs < len(pairs)
    assert found.recall == pytest.approx(1 - (1 - 0.6**10) ** 2)


def test_nobody_chooses_the_seed_of_the_hash_functions(read: Read) -> None:
    corpus = f"{{nearDuplicates: [{NEAR}]}}"
    data = b"a b c\nd e f\n"
    first, again, more = (read({"t": each}) for each in (data, data, data + b"g\n"))
    seeds = [
        parsed(measure_dataset(each, name="corpus", job=job_of(corpus=corpus))).near_duplicates[0].seed
        for each in (first, again, more)
    ]
    assert seeds[0] == seeds[1] != seeds[2]
    other = parsed(measure_dataset(first, name="corpus", job=job_of(corpus=corpus.replace("0.6", "0.5"))))
    assert other.near_duplicates[0].seed != seeds[0]
    sheet = parsed(measure_dataset(first, name="corpus", job=job_of(corpus=corpus)))
    parts = (first.manifest.sha256, sheet.schema_digest.sha256, predicates.configuration_digest(sheet.configuration))
    seed = hashlib.sha256(b"".join(map(bytes.fromhex, parts))).digest()
    assert seeds[0] == int.from_bytes(hashlib.sha256(seed + b'["nearDuplicates",[""]]').digest()[:4], "big")


def test_runs_of_words_against_brute_force(read: Read) -> None:
    texts, others = draw_texts(80, 6), [*draw_texts(20, 7), *draw_texts(80, 6)[:5]]
    one, two = (read({"t": ("\n".join(side) + "\n").encode()}) for side in (texts, others))
    sheet = parsed(measure_dataset(one, name="corpus", job=job_of(), others={"other": two}))
    (found,) = sheet.ngram_overlap

    def runs(text: str) -> list[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return [tuple(words[i : i + 3]) for i in range(len(words) - 2)]

    seen = {run for text in others for run in runs(text)}
    mine = [runs(text) for text in texts]
    everything = [run for each in mine for run in each]
    assert found.samples == len(texts)
    assert found.documents == sum(any(run in seen for run in each) for each in mine)
    assert (found.ngrams, found.shared) == (len(set(everything)), len(set(everything) & seen))
    assert (found.occurrences, found.shared_occurrences) == (len(everything), sum(run in seen for run in everything))
    assert 0 < found.documents < len(texts)
    assert found.dataset.digest.sha256 == two.manifest.sha256
    assert sheet.configuration["ngramOverlap"] == [
        {"with": "other", "n": 3, "normalization": ["casefold"], "words": "letters"}
    ]


def test_a_column_of_a_table_is_compared_with_texts(read: Read) -> None:
    properties = f"""{{nearDuplicates: [{NEAR.replace("{normal", "{column: text, normal")}],
        ngramOverlap: [{{column: text, with: corpus, n: 2, normalization: [], words: whitespace}},
                       {{column: text, with: two, otherColumn: text, n: 2, normalization: [], words: whitespace}}]}}"""
    one = read({"t": b"a b c d e,1,1,true\na b c d e f,1,1,true\n?,1,1,true\nx,1,1,true\n"})
    two, corpus = read({"t": b"e f,1,1,true\n"}), read({"t": b"c d\nq r\n"})
    sheet = parsed(measure_dataset(one, name="one", job=job_of(properties), others={"two": two, "corpus": corpus}))
    (found,) = sheet.near_duplicates
    assert (found.column, found.samples, found.distinct, found.pairs, found.documents) == ("text", 3, 3, 1, 2)
    first, second = sheet.ngram_overlap
    assert (first.samples, first.documents, first.ngrams, first.shared) == (3, 2, 5, 1)
    assert (first.occurrences, first.shared_occurrences) == (9, 2)
    assert (second.documents, second.shared, second.column, second.other_column) == (1, 1, "text", "text")
    assert "datasketch" in {package.name for package in sheet.environment.packages}


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("characters", "abcd", {"abc", "bcd"}),
        ("characters", "ab", {"ab"}),
        ("whitespace", "a-b c d e", {"a-b c d", "c d e"}),
        ("letters", "a-b c", {"a b c"}),
        ("letters", "...", set()),
    ],
)
def test_shingles(unit: Any, text: str, expected: set[str]) -> None:
    search = NearDuplicates(
        column=None, normalization=(), unit=unit, size=3, threshold=0.5, permutations=4, bands=2, rows=2
    )
    assert search.shingles(text) == expected


def test_too_many_candidates_and_runs_are_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = read({"t": b"a b c d e\na b c d f\na b c d g\n"}), read({"t": b"x\n"})
    monkeypatch.setattr(near, "MAX_CANDIDATES", 0)
    with pytest.raises(FormatError) as candidates:
        measure_dataset(one, name="corpus", job=job_of(), others={"other": two})
    monkeypatch.undo()
    monkeypatch.setattr(ngrams, "MAX_NGRAMS", 2)
    with pytest.raises(FormatError) as runs:
        measure_dataset(one, name="corpus", job=job_of(), others={"other": two})
    assert (candidates.value.reason, runs.value.reason) == ("dataset-candidates", "dataset-ngrams")


def test_copies_of_one_document_make_no_pairs(read: Read) -> None:
    one = read({"t": b"the same again\n" * 5000})
    (found,) = parsed(
        measure_dataset(one, name="corpus", job=job_of(corpus=f"{{nearDuplicates: [{NEAR}]}}"))
    ).near_duplicates
    assert (found.samples, found.distinct, found.candidates, found.pairs, found.documents) == (5000, 1, 0, 0, 5000)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("bands: 64", "bands: 63", "job-bands"),
        ("threshold: 0.6", "threshold: 1.5", "yaml-range"),
        ("unit: letters", "unit: bytes", "yaml-choice"),
        ("{normalization: [nfkc, casefold]", "{column: text, normalization: [nfkc, casefold]", "yaml-unknown-key"),
        ("[nfkc, casefold]", "[nfkc, nfkc]", "job-normalization"),
        ("[nfkc, casefold]", "[lower]", "yaml-choice"),
        ("with: other", "with: corpus", "yaml-choice"),
        ("with: other", "with: two", "yaml-missing-key"),
        ("n: 3, ", "", "yaml-missing-key"),
        ("ngramOverlap:", "shares:", "yaml-unknown-key"),
    ],
)
def test_mistakes_are_refused_where_they_stand(old: str, new: str, reason: str) -> None:
    corpus = f"{{nearDuplicates: [{NEAR}], ngramOverlap: [{NGRAMS}]}}"
    assert old in corpus
    with pytest.raises(FormatError, match=r"^job\.yaml:\d+:\d+: ") as caught:
        job_of(corpus=corpus.replace(old, new, 1))
    assert caught.value.reason == reason


def test_images_have_no_words() -> None:
    images = "  pictures: {format: images, channels: 1, height: 8, width: 8, classes: {a: 0, b: 1}}\ndatasets:\n"
    images += "  faces: {schema: pictures, overlap: []}\n"
    text = JOB.replace("datasets:\n", images).replace("PROPERTIES", "{}")
    corpus = "{ngramOverlap: [{with: faces, n: 3, normalization: [], words: letters}]}"
    with pytest.raises(FormatError) as caught:
        load_job(text.replace("CORPUS", corpus).encode(), "job.yaml")
    assert caught.value.reason == "job-ngrams"


def test_drift_needs_the_same_column_on_both_sides() -> None:
    schema = """  wide: {format: csv, delimiter: ",", header: false, trim: false, nullToken: "?", label: null,
    columns: [{name: text, type: string}, {name: value, type: integer}]}
datasets:
  wide: {schema: wide, skipLines: 0, groups: [], overlap: []}
"""
    for reference, column, reason in (
        ("wide", "value", "job-drift"),
        ("wide", "count", "job-drift"),
        ("corpus", "value", "schema-not-a-table"),
    ):
        properties = f"{{drift: [{{reference: {reference}, column: {column}, bins: 4, emptyBins: undefined}}]}}"
        text = JOB.replace("datasets:\n", schema).replace("PROPERTIES", properties).replace("CORPUS", "{}")
        with pytest.raises(FormatError) as caught:
            load_job(text.encode(), "job.yaml")
        assert caught.value.reason == reason
