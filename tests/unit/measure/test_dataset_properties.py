"""Properties of Adult against brute force in plain Python, SciPy and closed forms."""

from __future__ import annotations

import csv
import json
import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lamslsa import predicates, statement
from lamslsa.artifact.reader import read_verified
from lamslsa.errors import FormatError
from lamslsa.measure import load_job
from lamslsa.measure.dataset import closeness
from lamslsa.measure.dataset.declare import NAMES
from lamslsa.predicates import Dataset
from lamslsa.testing.measuring import measure_dataset

COLUMNS = tuple(
    re.findall(
        r"[a-z-]+",
        "age workclass fnlwgt education education-num marital-status occupation relationship race sex capital-gain"
        " capital-loss hours-per-week native-country income",
    )
)
NUMBERS = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
PROPERTIES = """
    properties:
      conditional: [{columns: [income], given: [race]}, {columns: [race, sex], given: [income]}]
      summaries: [{column: age, quantiles: [0.1, 0.25, 0.5, 0.75, 0.999]}, {column: fnlwgt, quantiles: []}]
      anonymity:
        - {quasiIdentifiers: [age, sex, race, native-country], sensitive: []}
        - quasiIdentifiers: [education, marital-status, sex]
          sensitive: [{column: income, distance: equal}, {column: occupation, distance: equal},
                      {column: hours-per-week, distance: ordered}]
      drift:
        - {reference: train, column: age, bins: 10, emptyBins: undefined}
        - {reference: train, column: capital-gain, bins: 20, emptyBins: {add: 0.5}}
        - {reference: train, column: native-country, emptyBins: undefined}
        - {reference: train, column: native-country, emptyBins: {add: 0.5}}
        - {reference: train, column: income, emptyBins: undefined}
      shares:
        - {where: {sex: Female}, atLeast: 0.33, by: count}
        - {where: {sex: Female}, atLeast: 0.34, by: count}
        - {where: {sex: Female}, atLeast: 0.325, by: wilson, confidenceLevel: 0.95}
        - {where: {sex: Female}, atLeast: 0.33, by: wilson, confidenceLevel: 0.95}
        - {where: {sex: Female, age: 39, native-country: null, income: 0}, atLeast: 0.0001, by: count}
"""
ROOT = Path(__file__).resolve().parents[3]
Row = dict[str, Any]


def adult_job(properties: str = PROPERTIES) -> str:
    columns = ", ".join(f"{{name: {name}, type: {'integer' if name in NUMBERS else 'string'}}}" for name in COLUMNS)
    return f"""
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  adult: {{format: csv, delimiter: ",", header: false, trim: true, nullToken: "?", columns: [{columns}],
    label: {{column: income, classes: {{"<=50K": 0, "<=50K.": 0, ">50K": 1, ">50K.": 1}}}}}}
datasets:
  train: {{schema: adult, skipLines: 0, groups: [], overlap: []}}
  test:
    schema: adult
    skipLines: 1
    groups: [[race, income], [sex, race]]
    overlap: []
{properties}
"""


def read_adult(path: Path) -> list[Row]:
    """Typed rows by the csv module and Python's own types."""
    with path.open(encoding="utf-8") as stream:
        texts = [[field.strip() for field in row] for row in csv.reader(stream) if len(row) == len(COLUMNS)]
    rows = []
    for text in texts:
        row: Row = {}
        for name, field in zip(COLUMNS, text, strict=True):
            row[name] = None if field == "?" else int(field) if name in NUMBERS else field
        row["income"] = int(row["income"].startswith(">"))
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def rows(adult: Path) -> list[Row]:
    return read_adult(adult / "adult.test")


@pytest.fixture(scope="module")
def reference_rows(adult: Path) -> list[Row]:
    return read_adult(adult / "adult.data")


@pytest.fixture(scope="module")
def payload(adult: Path) -> bytes:
    job = load_job(adult_job().encode(), "job.yaml")
    with (
        read_verified(adult / "adult.data", "dataset") as train,
        read_verified(adult / "adult.test", "dataset") as test,
    ):
        return measure_dataset(test, name="test", job=job, others={"train": train})


@pytest.fixture(scope="module")
def sheet(payload: bytes) -> Dataset:
    parsed = predicates.parse(statement.parse(payload))
    assert isinstance(parsed, Dataset)
    return parsed


def test_the_race_by_income_distribution_is_that_of_the_bytes(sheet: Dataset, adult: Path) -> None:
    """Laminator attested a distribution of race by income that was wrong."""
    expected: Counter[tuple[str, int]] = Counter()
    for line in (adult / "adult.test").read_text(encoding="utf-8").splitlines():
        fields = line.split(", ")
        if len(fields) == 15:
            expected[fields[8], int(">50K" in fields[14])] += 1
    assert sheet.distributions[0].columns == ("race", "income")
    assert {cell.values: cell.count for cell in sheet.distributions[0].cells} == dict(expected)
    by_race = {
        (group.given[0], cell.values[0]): cell.count for group in sheet.conditional[0].groups for cell in group.cells
    }
    assert by_race == dict(expected)
    assert expected["Black", 1] == 179


def test_the_race_attribute_is_race_and_not_age(sheet: Dataset) -> None:
    """Laminator's attribute "race" was the column of age."""
    races = {"White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"}
    assert {cell.values[1] for cell in sheet.distributions[1].cells} == races
    assert {group.given[0] for group in sheet.conditional[0].groups} == races
    names = [column["name"] for column in sheet.schema["columns"]]
    assert tuple(names) == COLUMNS
    assert next(column for column in sheet.columns if column.name == "race").distinct == 5
    assert next(column for column in sheet.columns if column.name == "age").distinct == 73


def test_conditional_counts(sheet: Dataset, rows: list[Row]) -> None:
    found = sheet.conditional[1]
    assert (found.columns, found.given, found.samples) == (("race", "sex"), ("income",), len(rows))
    assert [group.given for group in found.groups] == [(0,), (1,)]
    for group in found.groups:
        here = [row for row in rows if row["income"] == group.given[0]]
        assert group.rows == len(here)
        assert {cell.values: cell.count for cell in group.cells} == Counter((row["race"], row["sex"]) for row in here)


def test_summaries(sheet: Dataset, rows: list[Row]) -> None:
    for summary, column in zip(sheet.summaries, ("age", "fnlwgt"), strict=True):
        values = sorted(row[column] for row in rows)
        assert (summary.samples, summary.missing) == (len(values), 0)
        assert (summary.minimum, summary.maximum) == (values[0], values[-1])
        assert summary.mean == sum(values) / len(values)
        assert summary.deviation == pytest.approx(statistics.pstdev(values), rel=1e-14)
        for quantile in summary.quantiles:
            expected = np.quantile(values, quantile.probability, method="inverted_cdf")
            assert quantile.value == expected
    assert [quantile.probability for quantile in sheet.summaries[0].quantiles] == [0.1, 0.25, 0.5, 0.75, 0.999]


def classes_of(rows: list[Row], names: tuple[str, ...]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in names)].append(row)
    return found


def test_k_anonymity(sheet: Dataset, rows: list[Row]) -> None:
    for found in sheet.anonymity:
        sizes = [len(members) for members in classes_of(rows, found.quasi_identifiers).values()]
        assert (found.samples, found.classes, found.smallest_class) == (len(rows), len(sizes), min(sizes))
        assert [item.size for item in found.rows_below] == [2, 3, 5, 10]
        for item in found.rows_below:
            assert item.rows == sum(size for size in sizes if size < item.size)
    assert sheet.anonymity[0].rows_below[0].rows > 0
    assert sheet.anonymity[0].sensitive == ()


def test_l_diversity(sheet: Dataset, rows: list[Row]) -> None:
    found = sheet.anonymity[1]
    for item in found.sensitive:
        counts = [
            Counter(row[item.column] for row in members)
            for members in classes_of(rows, found.quasi_identifiers).values()
        ]
        entropies = [stats.entropy(list(each.values())) for each in counts]
        assert item.distinct_diversity == min(map(len, counts))
        assert item.entropy_diversity == pytest.approx(math.exp(min(entropies)), rel=1e-12)
        assert stats.entropy(item.entropy_counts) == pytest.approx(min(entropies), abs=1e-12)


def variational(members: list[Any], everything: list[Any]) -> float:
    here, there = Counter(members), Counter(everything)
    return sum(abs(here[value] / len(members) - there[value] / len(everything)) for value in there) / 2


def earth_movers(members: list[Any], everything: list[Any]) -> float:
    """SciPy's distance between ranks, scaled to 1: another algorithm for the same quantity."""
    values, totals = np.unique(everything, return_counts=True)
    here = np.bincount(np.searchsorted(values, members), minlength=len(values))
    ranks = np.arange(len(values))
    return float(stats.wasserstein_distance(ranks, ranks, here, totals) / (len(values) - 1))


def test_t_closeness(sheet: Dataset, rows: list[Row]) -> None:
    found = sheet.anonymity[1]
    groups = classes_of(rows, found.quasi_identifiers).values()
    distances: dict[str, Callable[[list[Any], list[Any]], float]] = {"equal": variational, "ordered": earth_movers}
    for item in found.sensitive:
        everything = [row[item.column] for row in rows]
        largest = max(distances[item.distance]([row[item.column] for row in members], everything) for members in groups)
        assert item.closeness == pytest.approx(largest, rel=1e-11), item.column
        assert item.undefined is None
    assert [item.distance for item in found.sensitive] == ["equal", "equal", "ordered"]


@pytest.mark.parametrize("safe", [closeness._SAFE, 0])
def test_earth_movers_distances_in_either_arithmetic(monkeypatch: pytest.MonkeyPatch, adult: Path, safe: int) -> None:
    """The definition, summed rank by rank in fractions; 64-bit integers and Python's give the same."""
    monkeypatch.setattr(closeness, "_SAFE", safe)
    properties = """    properties: {anonymity: [{quasiIdentifiers: [race, sex, native-country],
      sensitive: [{column: age, distance: ordered}, {column: capital-gain, distance: ordered}]}]}"""
    job = load_job(adult_job(properties).encode(), "job.yaml")
    with read_verified(adult / "adult.test", "dataset") as test:
        sheet = predicates.parse(statement.parse(measure_dataset(test, name="test", job=job)))
    assert isinstance(sheet, Dataset)
    rows = read_adult(adult / "adult.test")
    for item in sheet.anonymity[0].sensitive:
        totals = Counter(row[item.column] for row in rows)
        values = sorted(totals)
        largest = Fraction(0)
        for members in classes_of(rows, ("race", "sex", "native-country")).values():
            here = Counter(row[item.column] for row in members)
            gap, moved = Fraction(0), Fraction(0)
            for value in values:
                gap += Fraction(here[value], len(members)) - Fraction(totals[value], len(rows))
                moved += abs(gap)
            largest = max(largest, moved / (len(values) - 1))
        assert item.closeness == float(largest)


def psi(here: list[int], there: list[int], added: float = 0) -> float:
    p, q = (np.array(side) + added for side in (here, there))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def test_drift_of_numbers(sheet: Dataset, rows: list[Row], reference_rows: list[Row]) -> None:
    for found, bins, added in zip(sheet.drift[:2], (10, 20), (0, 0.5), strict=True):
        values, reference = ([row[found.column] for row in side] for side in (rows, reference_rows))
        edges = {np.quantile(reference, k / bins, method="inverted_cdf") for k in range(1, bins)} - {max(reference)}
        cuts = [-math.inf, *sorted(edges), math.inf]
        pairs = list(pairwise(cuts))
        here, there = ([sum(a < value <= b for value in side) for a, b in pairs] for side in (values, reference))
        assert [item.upper for item in found.bins] == [*sorted(edges), None]
        assert {item.kind for item in found.bins} == {"range"}
        assert [item.rows for item in found.bins] == here
        assert [item.reference_rows for item in found.bins] == there
        assert found.psi == pytest.approx(psi(here, there, added), rel=1e-9)
        assert (found.samples, found.reference_samples) == (len(rows), len(reference_rows))
        assert found.kolmogorov_smirnov is not None
        merged = sorted(set(values) | set(reference))
        steps = [
            np.array(list(accumulate(Counter(side)[value] for value in merged))) / len(side)
            for side in (values, reference)
        ]
        assert found.kolmogorov_smirnov.statistic == pytest.approx(np.abs(steps[0] - steps[1]).max(), abs=1e-12)
        expected = stats.ks_2samp(values, reference, method="asymp")
        assert found.kolmogorov_smirnov.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_drift_of_categories(sheet: Dataset, rows: list[Row], reference_rows: list[Row]) -> None:
    undefined, added, income = sheet.drift[2:]
    here, there = (Counter(row["native-country"] for row in side) for side in (rows, reference_rows))
    assert there["Holand-Netherlands"] == 1
    assert here["Holand-Netherlands"] == 0
    assert undefined.psi is None
    assert undefined.undefined == "a bin is empty on one side"
    assert undefined.bins == added.bins
    assert undefined.kolmogorov_smirnov is None
    assert added.undefined is None
    names = [item.values[0] if item.kind == "value" else None for item in added.bins]
    assert names == [None, *sorted(str(name) for name in here | there if name is not None)]
    assert [(item.rows, item.reference_rows) for item in added.bins] == [(here[name], there[name]) for name in names]
    assert added.psi == pytest.approx(psi([here[n] for n in names], [there[n] for n in names], 0.5), rel=1e-9)
    assert [item.values for item in income.bins] == [(0,), (1,)]


def test_requirements_tell_one_bit(sheet: Dataset, rows: list[Row], payload: bytes) -> None:
    share = sum(row["sex"] == "Female" for row in rows) / len(rows)
    assert 0.33 < share < 0.34
    lower = stats.binomtest(5421, len(rows)).proportion_ci(method="wilson").low
    assert 0.325 < lower < 0.33
    rare = sum(
        (row["sex"], row["age"], row["native-country"], row["income"]) == ("Female", 39, None, 0) for row in rows
    )
    assert [item.holds for item in sheet.shares] == [True, False, True, False, rare / len(rows) >= 0.0001]
    assert {item.samples for item in sheet.shares} == {len(rows)}
    for item in json.loads(payload)["predicate"]["shares"]:
        assert set(item) <= {"where", "atLeast", "by", "samples", "holds", "confidenceLevel"}


def test_what_each_value_was_computed_from_stands_beside_it(sheet: Dataset, adult: Path) -> None:
    with read_verified(adult / "adult.data", "dataset") as train:
        digest = train.manifest.sha256
    schema = load_job(adult_job().encode(), "job.yaml").dataset("train").table.sha256
    for found in sheet.drift:
        assert (found.reference.name, found.reference.digest.sha256) == ("train", digest)
        assert found.schema_digest.sha256 == schema
    for family in ("conditional", "summaries", "anonymity", "drift", "shares"):
        assert len(sheet.configuration[family]) == len(getattr(sheet, family)), family
    assert sheet.configuration["drift"][1] == {
        "reference": "train",
        "column": "capital-gain",
        "bins": 20,
        "emptyBins": {"add": 0.5},
    }
    assert sheet.configuration["shares"][3] == {
        "where": {"sex": "Female"},
        "atLeast": 0.33,
        "by": "wilson",
        "confidenceLevel": 0.95,
    }
    assert "scipy" in {package.name for package in sheet.environment.packages}


def test_properties_do_not_change_from_run_to_run(payload: bytes, adult: Path) -> None:
    job = load_job(adult_job().encode(), "job.yaml")
    with (
        read_verified(adult / "adult.data", "dataset") as train,
        read_verified(adult / "adult.test", "dataset") as test,
    ):
        assert measure_dataset(test, name="test", job=job, others={"train": train}) == payload


def test_the_measurers_of_datasheets_are_listed(sheet: Dataset) -> None:
    assert str(sheet.measurer) in NAMES
    assert "text-dataset/1" in NAMES


REFUSED = [
    (
        "conditional: [{columns: [income], given: [race]}, ",
        "conditional: [{columns: [race], given: [race]}, ",
        "job-columns-twice",
    ),
    ("{column: fnlwgt, quantiles: []}", "{column: sex, quantiles: []}", "yaml-choice"),
    ("{column: fnlwgt, quantiles: []}", "{column: fnlwgt, quantiles: [0.5, 0.25]}", "job-quantiles"),
    ("{column: fnlwgt, quantiles: []}", "{column: fnlwgt, quantiles: [1]}", "yaml-range"),
    ("{column: fnlwgt, quantiles: []}", "{column: fnlwgt}", "yaml-missing-key"),
    ("{column: occupation, distance: equal}", "{column: occupation, distance: ordered}", "job-distance"),
    ("{column: occupation, distance: equal}", "{column: sex, distance: equal}", "job-columns-twice"),
    ("{column: occupation, distance: equal}", "{column: income, distance: equal}", "job-columns-twice"),
    ("{reference: train, column: age, bins: 10,", "{reference: test, column: age, bins: 10,", "yaml-choice"),
    ("{reference: train, column: age, bins: 10,", "{reference: train, column: age,", "yaml-missing-key"),
    ("{reference: train, column: age, bins: 10,", "{reference: train, column: sex, bins: 10,", "yaml-unknown-key"),
    ("bins: 10, emptyBins: undefined", "bins: 10", "yaml-missing-key"),
    ("bins: 10, emptyBins: undefined", "bins: 10, emptyBins: epsilon", "yaml-choice"),
    ("emptyBins: {add: 0.5}", "emptyBins: {add: 0}", "yaml-range"),
    ("where: {sex: Female}, atLeast: 0.33, by: count", "where: {}, atLeast: 0.33, by: count", "yaml-empty"),
    ("where: {sex: Female}, atLeast: 0.33, by: count", "where: {gender: F}, atLeast: 0.33, by: count", "job-column"),
    ("where: {sex: Female}, atLeast: 0.33, by: count", "where: {age: old}, atLeast: 0.33, by: count", "yaml-type"),
    ("where: {sex: Female}, atLeast: 0.33, by: count", "where: {income: 2}, atLeast: 0.33, by: count", "yaml-range"),
    ("where: {sex: Female}, atLeast: 0.33, by: count", "where: {sex: Female}, atLeast: 0.33", "yaml-missing-key"),
    ("atLeast: 0.34, by: count", "atLeast: 0.33, by: count", "job-properties"),
    ("atLeast: 0.34, by: count", "atLeast: 0.34, by: count, confidenceLevel: 0.9", "yaml-unknown-key"),
    ("      shares:\n", "      stares: []\n      shares:\n", "yaml-unknown-key"),
    ("      shares:\n", "      normalization: {text: [], digits: null}\n      shares:\n", "job-normalization"),
]


@pytest.mark.parametrize(("old", "new", "reason"), REFUSED)
def test_mistakes_are_refused_where_they_stand(old: str, new: str, reason: str) -> None:
    text = adult_job()
    assert old in text
    with pytest.raises(FormatError, match=r"^job\.yaml:\d+:\d+: ") as caught:
        load_job(text.replace(old, new, 1).encode(), "job.yaml")
    assert caught.value.reason == reason


def test_too_many_entries_are_refused() -> None:
    many = ", ".join(f"{{where: {{age: {age}}}, atLeast: 0.5, by: count}}" for age in range(65))
    with pytest.raises(FormatError) as caught:
        load_job(adult_job(f"    properties: {{shares: [{many}]}}\n").encode(), "job.yaml")
    assert caught.value.reason == "job-properties"


def test_the_plan_says_what_will_be_measured() -> None:
    steps: Iterator[str] = iter(load_job(adult_job().encode(), "job.yaml").sheet("test").steps())
    text = "\n".join(steps)
    for part in (
        "income given race",
        "quantiles of age",
        "anonymity by age",
        "drift of age from train",
        "sex = Female",
    ):
        assert part in text
