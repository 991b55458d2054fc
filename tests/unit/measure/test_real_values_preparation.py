"""Steps of ``preprocess/1`` on rows of UCI Adult, every row of what comes out against pandas."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pandas as pd
import pytest

from lamslsa.measure import Context, Given, load_job
from tests.unit.measure.real_world import ADULT, FEW, TRAIN, Census, near, parsed

Report = dict[str, Any]


def prepared(
    census: Census, dataset: str, *steps: str, outputs: str = "{all: made}"
) -> tuple[dict[str, pd.DataFrame], Report]:
    """The outputs as pandas reads them, and what the statement says of the steps."""
    text = ADULT[: ADULT.index("training:")] + (
        f"transforms:\n  prepare:\n    transform: preprocess/1\n    dataset: {dataset}\n    steps:\n"
        + "".join(f"      - {step}\n" for step in steps)
        + f'    nullToken: "?"\n    label: null\n    outputs: {outputs}\n'
    )
    plan = load_job(text.encode(), "job.yaml").require_transform("prepare")
    given = {
        item.role: Given(artifact=census.world.data[item.name or ""], name=item.name or "") for item in plan.inputs
    }
    outcome = plan.measure(given, Context())
    frames = {
        name: pd.read_csv(io.BytesIO(made.files["data.csv"]), keep_default_na=False, na_values="?")
        for name, made in outcome.outputs.items()
    }
    predicate = json.loads(outcome.statements[0].data)["predicate"]
    (report,) = [item for item in predicate["runDetails"]["byproducts"] if item["name"] == "report"]
    return frames, report["annotations"]


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Whether every row and every value is the same, in order; means and medians to the last digits but one."""
    assert list(found.columns) == list(expected.columns)
    assert len(found) == len(expected)
    pd.testing.assert_frame_equal(
        found, expected.reset_index(drop=True), check_dtype=False, check_exact=False, rtol=1e-13, atol=0
    )


def few(census: Census, name: str) -> pd.DataFrame:
    return parsed((census.world.folder / name).read_bytes())


def test_columns_are_chosen_named_and_copied(census: Census) -> None:
    frames, report = prepared(
        census,
        "train",
        "{step: select, columns: [sex, hours-per-week, occupation, income, age]}",
        "{step: rename, names: {sex: age, age: years, occupation: work}}",
        "{step: copy, column: work, to: occupation}",
        "{step: copy, column: years, to: again}",
    )
    expected = pd.DataFrame(
        {
            "age": census.train["sex"],
            "hours-per-week": census.train["hours-per-week"],
            "work": census.train["occupation"],
            "income": census.train["income"],
            "years": census.train["age"],
            "occupation": census.train["occupation"],
            "again": census.train["age"],
        }
    )
    assert expected["work"].isna().any(), "missing values stay missing"
    same(frames["made"], expected)
    assert [step["rowsOut"] for step in report["steps"]] == [{"all": TRAIN}] * 4


@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_sorted(census: Census, descending: bool) -> None:
    columns = ["occupation", "hours-per-week", "native-country"]
    frames, _ = prepared(
        census,
        "train",
        f"{{step: sort, columns: [{', '.join(columns)}], descending: {str(descending).lower()}}}",
    )
    if descending:
        expected = census.train.sort_values(columns, ascending=False, na_position="last", kind="stable")
    else:
        expected = census.train.sort_values(columns, na_position="first", kind="stable")
    assert expected.duplicated(columns).any(), "rows whose order is that in which they stood"
    assert not expected.index.is_monotonic_increasing
    same(frames["made"], expected)


def test_a_sample_is_drawn_by_hash(census: Census) -> None:
    frames, report = prepared(
        census,
        "train",
        "{step: filter, column: sex, operator: ==, value: Female, missing: drop}",
        "{step: sample, rows: 500, seed: 12}",
    )
    women = census.train[census.train["sex"] == "Female"]
    numbers = [hashlib.sha256(f"lamslsa preprocess/1\n12\n{row}".encode()).digest() for row in range(len(women))]
    drawn = sorted(sorted(range(len(women)), key=numbers.__getitem__)[:500])
    assert drawn[-1] > 500
    same(frames["made"], women.iloc[drawn])
    assert report["steps"][-1]["rowsIn"] == {"all": len(women)}
    assert report["steps"][-1]["rowsOut"] == {"all": 500}


KEYS = {"occupation": "occupation", "school": "education"}
BROUGHT = ["fnlwgt", "native-country", "capital-gain"]
JOINING = (
    "{step: select, columns: [occupation, education, age, workclass]}",
    "{step: rename, names: {education: school}}",
)


def joined(census: Census, kind: Any, repeated: str) -> tuple[str, pd.DataFrame, Report]:
    """The step, and what pandas makes of it: a missing value equals nothing, unlike in pandas."""
    on = ", ".join(f"{mine}: {theirs}" for mine, theirs in KEYS.items())
    step = f"{{step: join, dataset: others, on: {{{on}}}, kind: {kind}, bring: [{', '.join(BROUGHT)}],"
    step += f" repeated: {repeated}}}"
    left = few(census, "few")[["occupation", "education", "age", "workclass"]].rename(columns={"education": "school"})
    keyed = few(census, "others").dropna(subset=list(KEYS.values()))
    right = keyed.drop_duplicates(list(KEYS.values())) if repeated == "first" else keyed
    right = right[[*KEYS.values(), *BROUGHT]].rename(columns={theirs: mine for mine, theirs in KEYS.items()})
    places = left.assign(a=range(len(left))).merge(right.assign(b=range(len(right))), how=kind, on=list(KEYS))
    rows = places.sort_values(["a", "b"], kind="stable").drop(columns=["a", "b"])
    there = set(zip(*(keyed[theirs] for theirs in KEYS.values()), strict=True))
    facts = {
        "repeatedKeys": int((keyed.groupby(list(KEYS.values())).size() > 1).sum()),
        "unmatched": {"all": sum(key not in there for key in zip(*(left[mine] for mine in KEYS), strict=True))},
    }
    return step, rows, facts


@pytest.mark.parametrize(("kind", "repeated"), [("inner", "every"), ("left", "every"), ("left", "first")])
def test_rows_are_joined(census: Census, kind: str, repeated: str) -> None:
    step, expected, facts = joined(census, kind, repeated)
    frames, report = prepared(census, "few", *JOINING, step)
    assert facts["repeatedKeys"] > 20
    assert 50 < facts["unmatched"]["all"] < FEW
    assert few(census, "few")["occupation"].isna().any(), "keys that equal nothing"
    assert few(census, "others")["occupation"].isna().any()
    assert (len(expected) == FEW) == (repeated == "first")
    same(frames["made"], expected)
    assert {name: report["steps"][-1][name] for name in facts} == facts


@pytest.mark.parametrize("how", ["mean", "median", "mode"])
def test_missing_values_are_imputed(census: Census, how: str) -> None:
    """What a left join finds nothing for is missing; the value is learned from one part, and put into both."""
    join, rows, _ = joined(census, "left", "first")
    columns = ["native-country", "workclass", "capital-gain"] if how == "mode" else ["fnlwgt", "capital-gain"]
    frames, report = prepared(
        census,
        "few",
        *JOINING,
        join,
        "{step: split, into: {fit: 2, held: 1}, seed: 8, together: [], stratify: []}",
        f"{{step: impute, columns: [{', '.join(columns)}], with: {how}, learnedFrom: fit}}",
        outputs="{fit: one, held: two}",
    )
    order = sorted(range(FEW), key=lambda row: hashlib.sha256(f"lamslsa preprocess/1\n8\n{row}".encode()).digest())
    fit, held = rows.iloc[sorted(order[:200])], rows.iloc[sorted(order[200:])]
    learned = {name: fit[name].mode()[0] if how == "mode" else getattr(fit[name], how)() for name in columns}
    assert all(part[columns].isna().any().all() for part in (fit, held))
    assert held.fillna(learned)[columns].notna().all().all()
    if how == "median":
        assert learned["fnlwgt"] not in set(fit["fnlwgt"]), "a median between two values"
    for found, part in (("one", fit), ("two", held)):
        same(frames[found], part.fillna(learned))
    told = report["steps"][-1]
    assert told["learned"] == {
        name: {"value": value if isinstance(value, str) else near(value), "samples": fit[name].notna().sum()}
        for name, value in learned.items()
    }
    assert told["filled"] == {
        name: part[columns].isna().sum().to_dict() for name, part in (("fit", fit), ("held", held))
    }
