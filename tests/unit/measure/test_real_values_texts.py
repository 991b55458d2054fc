"""Texts, and tables that almost agree, against brute force."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lamslsa import predicates, statement
from lamslsa.artifact.reader import read_verified
from lamslsa.measure import load_job
from lamslsa.measure.models.determinism import one_thread
from lamslsa.predicates import Dataset
from lamslsa.testing.measuring import measure_dataset
from tests.unit.measure.real_world import (
    ADULT,
    COLUMNS,
    HEAD,
    NUMBERS,
    REST,
    SAMPLING,
    Array,
    Make,
    draws,
    example,
    near,
    parsed,
)

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


def snippets() -> list[str]:
    """The lines of the example, each with number, rating and text."""
    return (example("movie-snippets") / "snippets.tsv").read_text(encoding="utf-8").splitlines(keepends=True)


def test_near_duplicates_and_shared_runs_of_snippets(tmp_path: Path) -> None:
    lines = snippets()
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


CORPUS = f"""{HEAD}
schemas: {{{{corpus: {{{{format: text, documents: line}}}}}}}}
datasets:
  others: {{{{schema: corpus, overlap: []}}}}
  mine:
    schema: corpus
    overlap: [others]
    properties:
      nearDuplicates: [{{{{normalization: [casefold], unit: characters, size: 3, threshold: 0.3, permutations: 64,
        bands: 32, rows: 2}}}}]
      ngramOverlap: [{{{{with: others, n: 2, normalization: [casefold], words: letters}}}}]
""".replace("{{", "{").replace("}}", "}")


def test_documents_of_snippets(tmp_path: Path) -> None:
    texts = [line.rstrip("\n").split("\t")[2] for line in snippets()]
    twice = pd.Series(texts)[lambda each: each.duplicated(keep=False)].tolist()
    mine = [*twice[:200], "", *sorted(texts, key=str.casefold)[8000:8300], "  "]
    others = [*mine[50:80], *texts[:400]]
    for name, chosen in (("mine", mine), ("others", others)):
        (tmp_path / name).write_text("\n".join(chosen) + "\n", encoding="utf-8")
    job = load_job(CORPUS.encode(), "job.yaml")
    with read_verified(tmp_path / "mine", "dataset") as subject, read_verified(tmp_path / "others", "dataset") as other:
        sheet = predicates.parse(
            statement.parse(measure_dataset(subject, name="mine", job=job, others={"others": other}))
        )
    assert isinstance(sheet, Dataset)
    column = pd.Series(mine)
    counted = sheet.documents
    assert counted is not None
    assert (counted.documents, counted.empty, sheet.rows) == (len(mine), 2, len(mine))
    assert counted.characters == column.str.len().sum()
    assert counted.words == column.str.count(r"\S+").sum()
    assert sheet.duplicates is not None
    assert sheet.duplicates.rows == column.duplicated().sum() > 1
    (overlap,) = sheet.overlaps
    assert overlap.samples == len(mine)
    assert overlap.rows == column.isin(others).sum() > 0
    assert overlap.distinct == len(np.intersect1d(column.unique(), others))

    letters = [text.casefold() for text in mine if text]
    runs = [frozenset(text[k : k + 3] for k in range(max(len(text) - 3, 0) + 1)) for text in letters]
    bags = list(dict.fromkeys(runs))
    (alike,) = sheet.near_duplicates
    assert (alike.samples, alike.distinct) == (len(runs), len(bags))
    from datasketch import MinHash

    signatures = []
    for bag in bags:
        signature = MinHash(num_perm=64, seed=alike.seed)
        for run in bag:
            signature.update(run.encode())
        signatures.append(signature.hashvalues.reshape(32, 2))
    candidates = [
        (one, other)
        for one, other in itertools.combinations(range(len(bags)), 2)
        if (signatures[one] == signatures[other]).all(axis=1).any()
    ]
    pairs = [(a, b) for a, b in candidates if 10 * len(bags[a] & bags[b]) >= 3 * len(bags[a] | bags[b])]
    assert (alike.candidates, alike.pairs) == (len(candidates), len(pairs))
    copies = pd.Series([bags.index(run) for run in runs])
    assert alike.documents == (copies.duplicated(keep=False) | copies.isin({k for pair in pairs for k in pair})).sum()
    assert len(candidates) > len(pairs) > 0
    assert alike.recall == near(1 - (1 - 0.3**2) ** 32)
    seen = {pair for text in others for pair in itertools.pairwise(words(text))}
    own = [pair for text in mine for pair in itertools.pairwise(words(text))]
    (shared,) = sheet.ngram_overlap
    assert (shared.ngrams, shared.occurrences) == (len(set(own)), len(own))
    assert (shared.shared, shared.shared_occurrences) == (len(set(own) & seen), sum(pair in seen for pair in own))


REVIEWS = f"""{HEAD}
schemas:
  reviews: {{format: csv, delimiter: "\\t", header: false, trim: false, nullToken: null,
    columns: [{{name: text, type: string}}, {{name: liked, type: string}}],
    label: {{column: liked, classes: {{"no": 0, "yes": 1}}}}}}
datasets:
  train: {{schema: reviews, skipLines: 0, groups: [], overlap: []}}
  test: {{schema: reviews, skipLines: 0, groups: [], overlap: []}}
training: {{trainer: text-lstm/1, model: m, dataset: train, textColumn: text, tokens: casefold-words,
  vocabularySize: 200, minimumCount: 2, length: 25, embedding: 8, hidden: 8, layers: 1, bidirectional: true, dropout: 0,
  epochs: 5, batchSize: 32, optimizer: adam, learningRate: 1e-2, weightDecay: 0, seed: 2, {REST}}}
evaluations:
  damaged: {{measurer: corruptions/1, dataset: test, {SAMPLING}, corruptions: all, severities: [2, 5], columns: all}}
inference: {{measurer: inference/1, dataset: test, disclose: {{inputs: true, outputs: true}}, seed: null}}
"""


def mistyped(text: str, amount: float, random: np.random.Generator) -> str:
    """Each letter with this chance, from left to right: swapped with the next, left out, doubled, or another one."""
    hit, kinds = random.random(len(text)) < amount, random.integers(0, 4, len(text))
    letters = random.integers(0, 26, len(text))
    rest, found = list(range(len(text))), ""
    while rest:
        place = rest.pop(0)
        kind = kinds[place] if hit[place] and text[place].isalpha() else None
        if kind == 0 and rest:
            found += text[rest.pop(0)]
        if kind == 2:
            found += text[place]
        if kind == 3:
            found += chr(ord("a") + letters[place])
        elif kind != 1 and not (kind == 0 and not rest and place == len(text) - 1):
            found += text[place]
    return found


def shortened(text: str, amount: float, random: np.random.Generator) -> str:
    each = text.split(" ")
    return " ".join(itertools.compress(each, random.random(len(each)) >= amount))


def test_corruptions_of_snippets(make_world: Make) -> None:
    """A network of texts by torch's own LSTM, one text at a time and without any padding."""
    lines = [line.rstrip("\n").split("\t") for line in snippets()]
    told = sorted((text, float(rating)) for _, rating, text in lines if abs(float(rating)) > 1.5)[::4][:450]
    rows = [(text, "yes" if rating > 0 else "no") for text, rating in told]
    files = {
        name: "".join("\t".join(row) + "\n" for row in chosen).encode()
        for name, chosen in (("train", rows[::3] + rows[1::3]), ("test", rows[2::3]))
    }
    world = make_world(REVIEWS, files)
    known = json.loads(world.files["model.json"])["vocabulary"]
    cut = re.compile(r"\w+(?:'\w+)*")
    counts = pd.Series([word for text, _ in rows[::3] + rows[1::3] for word in cut.findall(text.casefold())])
    ranked = sorted(counts.value_counts().items(), key=lambda item: (-item[1], item[0]))
    assert known == [word for word, count in ranked if count >= 2][:200]
    network = torch.nn.LSTM(8, 8, batch_first=True, bidirectional=True)
    weights = {name: torch.tensor(value) for name, value in world.tensors.items()}
    network.load_state_dict({name[5:]: value for name, value in weights.items() if name.startswith("lstm.")})

    def answers(texts: list[str]) -> Array:
        found = []
        for text in texts:
            numbers = [known.index(word) + 2 if word in known else 1 for word in cut.findall(text.casefold())[:25]]
            with torch.no_grad(), one_thread():
                _, (last, _) = network(weights["embedding.weight"][numbers or [0]][None])
                logit = last[:, 0].flatten() @ weights["linear.weight"][0] + weights["linear.bias"][0]
            found.append(torch.sigmoid(logit).item())
        return np.array(found)

    texts, labels = [text for text, _ in rows[2::3]], np.array([liked == "yes" for _, liked in rows[2::3]])
    said = np.array([record["output"]["value"]["probability"] for record in world.infer()])
    assert np.abs(said - answers(texts)).max() < 1e-5
    evaluation, found = world.evaluate("damaged")
    clean = (said >= 0.5) == labels
    assert 0.55 < found("accuracy") == near(clean.mean())
    parts = []
    damages = {"typos": (mistyped, {2: 0.02, 5: 0.2}), "word-drops": (shortened, {2: 0.1, 5: 0.5})}
    for name, (damage, amounts) in damages.items():
        for severity, amount in amounts.items():
            random = draws(evaluation, "corruption", name, str(severity))
            worse = [damage(text, amount, random) for text in texts]
            parts.append(((answers(worse) >= 0.5) == labels).mean())
            assert found("corruption_accuracy", corruption=name, severity=severity) == near(parts[-1])
    assert len(set(parts)) > 2, "damage that can be told apart"
    assert found("mean_corruption_accuracy", corruptions="typos,word-drops") == near(np.mean(parts))
    assert found("relative_corruption_drop", corruptions="typos,word-drops") == near(1 - np.mean(parts) / clean.mean())
    assert found.all_asked()
