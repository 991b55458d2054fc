"""Texts, and tables that almost agree, against brute force."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pandas as pd
import pytest

from lamslsa import predicates, statement
from lamslsa.artifact.reader import read_verified
from lamslsa.measure import load_job
from lamslsa.predicates import Dataset
from lamslsa.testing.measuring import measure_dataset
from tests.unit.measure.real_world import ADULT, COLUMNS, HEAD, NUMBERS, example, near, parsed

MOVIES = f"""{HEAD}
schemas:
  snippets: {{format: csv, delimiter: "\\t", header: false, trim: false, nullToken: null,
    columns: [{{name: id, type: integer}}, {{name: rating, type: number}}, {{name: text, type: string}}],
    label: {{column: rating, type: number}}}}
datasets:
  corpus: {{schema: snippets, skipLines: 0, groups: [], overlap: []}}
  sample:
    schema: snippets
    skipLines: 0
    groups: []
    overlap: []
    properties:
      nearDuplicates: [{{column: text, normalization: [casefold], unit: letters, size: 1, threshold: 0.3,
        permutations: 64, bands: 64, rows: 1}}]
      ngramOverlap: [{{column: text, with: corpus, otherColumn: text, n: 3, normalization: [casefold], words: letters}}]
"""


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def test_near_duplicates_and_shared_runs_of_snippets(tmp_path: Path) -> None:
    lines = (example("movie-snippets") / "snippets.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    text_of = {line: line.rstrip("\n").split("\t")[2] for line in lines}
    twice = pd.Series(text_of).loc[lambda texts: texts.duplicated(keep=False)].index.tolist()
    ordered = sorted(lines, key=lambda line: text_of[line].casefold())
    sample = list(dict.fromkeys([*twice, *ordered[8000:]]))[:400]
    corpus = [line for line in lines if line not in set(sample)][:400]
    for name, chosen in (("sample", sample), ("corpus", corpus)):
        (tmp_path / name).write_text("".join(chosen), encoding="utf-8")
    job = load_job(MOVIES.encode(), "job.yaml")
    with (
        read_verified(tmp_path / "sample", "dataset") as subject,
        read_verified(tmp_path / "corpus", "dataset") as other,
    ):
        payload = measure_dataset(subject, name="sample", job=job, others={"corpus": other})
    sheet = predicates.parse(statement.parse(payload))
    assert isinstance(sheet, Dataset)

    bags = [frozenset(words(text_of[line])) for line in sample]
    alike = [
        (i, j)
        for i, j in itertools.combinations(range(len(bags)), 2)
        if 10 * len(bags[i] & bags[j]) >= 3 * len(bags[i] | bags[j])
    ]
    (near_,) = sheet.near_duplicates
    assert (near_.samples, near_.distinct) == (400, len(set(bags)))
    assert near_.distinct < 400, "snippets that occur twice"
    assert near_.pairs == len({frozenset((bags[i], bags[j])) for i, j in alike if bags[i] != bags[j]}) > 5
    assert near_.documents == len({index for pair in alike for index in pair})
    assert near_.recall == near(1 - 0.7**64)

    runs = {line: list(zip(*(words(text_of[line])[k:] for k in range(3)), strict=False)) for line in lines}
    seen = {run for line in corpus for run in runs[line]}
    mine = [run for line in sample for run in runs[line]]
    (shared,) = sheet.ngram_overlap
    assert (shared.samples, shared.ngrams, shared.occurrences) == (400, len(set(mine)), len(mine))
    assert shared.shared == len(set(mine) & seen) > 0
    assert shared.shared_occurrences == sum(run in seen for run in mine)
    assert shared.documents == sum(not seen.isdisjoint(runs[line]) for line in sample)


COMPARED = ("age", "workclass", "education", "race", "sex", "hours-per-week")


@pytest.mark.parametrize("normalised", [False, True])
def test_overlap_of_rows_written_in_two_ways(adult: Path, tmp_path: Path, normalised: bool) -> None:
    """Adult's training rows against its test rows, every third of them with its texts in capitals and its age off."""
    lines = (adult / "adult.data").read_bytes().splitlines(keepends=True)[:3000]
    mine = b"".join(lines)
    theirs = parsed(b"".join((adult / "adult.test").read_bytes().splitlines(keepends=True)[1:3001]))
    odd = theirs.index % 3 == 0
    theirs["age"] = theirs["age"].astype(float).where(~odd, theirs["age"] + 0.25)
    for name in set(COLUMNS) - NUMBERS - {"income"}:
        theirs[name] = theirs[name].where(~odd, " " + theirs[name].str.upper())
    (tmp_path / "mine").write_bytes(mine)
    (tmp_path / "theirs").write_text(theirs.to_csv(index=False, header=False, na_rep="?"), encoding="utf-8")
    schemas = ADULT[: ADULT.index("datasets:")]
    asked = ", properties: {normalization: {text: [trim, casefold], digits: 0}}" if normalised else ""
    text = (
        schemas.replace("{name: age, type: integer}", "{name: age, type: number}")
        + f"""datasets:
  theirs: {{schema: adult, skipLines: 0, groups: [], overlap: []}}
  mine: {{schema: adult, skipLines: 0, groups: [],
    overlap: [{{dataset: theirs, columns: [{", ".join(COMPARED)}]}}]{asked}}}
"""
    )
    job = load_job(text.encode(), "job.yaml")
    with (
        read_verified(tmp_path / "mine", "dataset") as subject,
        read_verified(tmp_path / "theirs", "dataset") as other,
    ):
        payload = measure_dataset(subject, name="mine", job=job, others={"theirs": other})
    sheet = predicates.parse(statement.parse(payload))
    assert isinstance(sheet, Dataset)

    def keys(frame: pd.DataFrame) -> pd.MultiIndex:
        chosen = frame[list(COMPARED)].copy()
        for name in set(COMPARED) - NUMBERS:
            chosen[name] = chosen[name].fillna("?").str.strip()
            chosen[name] = chosen[name].str.lower() if normalised else chosen[name]
        chosen["age"] = chosen["age"].round() if normalised else chosen["age"]
        return pd.MultiIndex.from_frame(chosen)

    own, their = keys(parsed(mine)), keys(theirs)
    (overlap,) = sheet.overlaps
    assert overlap.samples == 3000
    assert overlap.rows == own.isin(their).sum() > 100
    assert overlap.distinct == len(own.unique().intersection(their.unique()))
