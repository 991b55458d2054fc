"""What an owner keeps back is named, is nowhere in the statement, and opens by hand."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
import rfc8785

from lamslsa import predicates, statement
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError, VerificationError
from lamslsa.measure import Context, Given, Job
from lamslsa.measure.dataset.disclosure import OPENINGS
from lamslsa.predicates import Dataset
from lamslsa.predicates._common import Digest
from lamslsa.predicates.commitments import commit, open_commitment, parse_openings

Read = Callable[..., VerifiedArtifact]
MakeJob = Callable[..., Job]

PLAIN = "groups: [[sex], [sex, race], [race, income]], overlap: []}"
SHARES = "shares: [{where: {sex: Female}, atLeast: 0.2, by: count}, {where: {sex: Female}, atLeast: 0.9, by: count}]"
EVERYTHING = "columns, duplicates, distributions, labelBalance, conditional, summaries, anonymity"
PROPERTIES = """properties: {
  conditional: [{columns: [income], given: [race]}], summaries: [{column: age, quantiles: [0.5]}],
  anonymity: [{quasiIdentifiers: [age, sex], sensitive: [{column: race, distance: equal}]}],
  shares: [{where: {sex: Female}, atLeast: 0.2, by: count}], withhold: [%s]}"""


def measured(job: Job, artifact: VerifiedArtifact) -> tuple[dict[str, Any], Dataset, Mapping[str, bytes]]:
    plan = job.sheet("people-train")
    outcome = plan.measure({"dataset": Given(artifact=artifact, name="people-train")}, Context())
    (payload,) = outcome.statements
    parsed = predicates.parse(statement.parse(payload.data))
    assert isinstance(parsed, Dataset)
    return json.loads(payload.data)["predicate"], parsed, outcome.private


def job_with(make_job: MakeJob, properties: str, *, groups: str = PLAIN) -> Job:
    return make_job((PLAIN, f"{groups[:-1]}, {properties}}}"))


def test_withheld_values_open_by_hand(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    disclosed, _, nothing = measured(job_with(make_job, PROPERTIES.replace(", withhold: [%s]", "")), train_set)
    wire, _, private = measured(job_with(make_job, PROPERTIES % EVERYTHING), train_set)
    assert nothing == {}
    assert list(private) == [OPENINGS]
    openings = json.loads(private[OPENINGS])
    assert openings["dataset"] == {"name": "people-train", "digest": {"sha256": train_set.manifest.sha256}}
    assert [item["pointer"] for item in wire["withheld"]] == [item["pointer"] for item in openings["openings"]]
    for item, opening in zip(wire["withheld"], openings["openings"], strict=True):
        value: Any = disclosed
        for part in item["pointer"].split("/")[1:]:
            value = value[int(part)] if isinstance(value, list) else value[part]
        assert opening["value"] == value
        salt = base64.b64decode(opening["salt"])
        assert len(salt) == 32
        assert item["commitment"] == {"sha256": hashlib.sha256(salt + rfc8785.dumps(value)).hexdigest()}
    found = {item["pointer"] for item in wire["withheld"]}
    assert found == {
        "/duplicates",
        "/labelBalance",
        "/distributions/0",
        "/distributions/1",
        "/distributions/2",
        "/conditional/0",
        "/summaries/0",
        "/anonymity/0",
        *(f"/columns/{n}/{key}" for n in range(7) for key in ("missing", "distinct")),
    }


def test_withheld_values_stand_nowhere_in_the_statement(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    wire, sheet, _ = measured(job_with(make_job, PROPERTIES % EVERYTHING), train_set)
    assert wire["distributions"] == []
    assert all(set(column) == {"name", "type"} for column in wire["columns"])
    for field in ("duplicates", "labelBalance", "conditional", "summaries", "anonymity", "overlaps"):
        assert field not in wire
    assert sheet.duplicates is None
    assert wire["configuration"]["withhold"] == EVERYTHING.split(", ")
    assert [item.holds for item in sheet.shares] == [True]
    assert sheet.rows == 500


def test_only_what_is_named_is_withheld(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    wire, sheet, _ = measured(job_with(make_job, PROPERTIES % "labelBalance"), train_set)
    assert [item.pointer for item in sheet.withheld] == ["/labelBalance"]
    assert sheet.label_balance is None
    assert len(sheet.distributions) == 3
    assert sheet.duplicates is not None
    assert all("missing" in column for column in wire["columns"])


def test_each_value_has_a_salt_of_its_own_and_of_each_run(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    job = job_with(make_job, PROPERTIES % EVERYTHING)
    runs = [parse_openings(measured(job, train_set)[2][OPENINGS]) for _ in range(2)]
    salts = [item.salt for run in runs for item in run.openings]
    assert len(set(salts)) == len(salts) > 40
    assert [item.value for item in runs[0].openings] == [item.value for item in runs[1].openings]


def test_a_guess_without_the_salt_finds_nothing(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    _, sheet, _ = measured(job_with(make_job, PROPERTIES % "columns"), train_set)
    commitments = {item.commitment.sha256 for item in sheet.withheld if item.commitment}
    guesses = {
        hashlib.sha256(prefix + str(count).encode()).hexdigest() for count in range(501) for prefix in (b"", bytes(32))
    }
    assert not commitments & guesses


def test_openings_are_held_against_the_commitment(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    _, sheet, private = measured(job_with(make_job, PROPERTIES % EVERYTHING), train_set)
    openings = parse_openings(private[OPENINGS]).openings
    for opening in openings:
        assert open_commitment(sheet, opening) == opening.value
    first, second = openings[:2]
    replace = msgspec.structs.replace
    other = base64.b64encode(bytes(32)).decode()
    for wrong in (
        replace(first, value=first.value + 1),
        replace(first, value=str(first.value)),
        replace(first, salt=other),
        replace(first, pointer=second.pointer),
    ):
        with pytest.raises(VerificationError) as caught:
            open_commitment(sheet, wrong)
        assert caught.value.reason == "commitment-value"


def test_openings_of_nothing_are_refused(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    _, sheet, private = measured(job_with(make_job, PROPERTIES % "duplicates"), train_set)
    (opening,) = parse_openings(private[OPENINGS]).openings
    replace = msgspec.structs.replace
    (withheld,) = sheet.withheld
    cases = [
        (sheet, replace(opening, pointer="/rows"), "commitment-pointer"),
        (replace(sheet, withheld=()), opening, "commitment-pointer"),
        (
            replace(sheet, withheld=(withheld, replace(withheld, commitment=Digest(sha256="0" * 64)))),
            opening,
            "commitment-pointer",
        ),
        (replace(sheet, withheld=(replace(withheld, commitment=None),)), opening, "commitment-pointer"),
        (sheet, replace(opening, salt="AAAA"), "commitment-salt"),
        (sheet, replace(opening, salt="?"), "base64"),
    ]
    for where, what, reason in cases:
        with pytest.raises(FormatError) as caught:
            open_commitment(where, what)
        assert caught.value.reason == reason


@pytest.mark.parametrize("data", [b"", b"[]", b'{"dataset":{},"openings":[]}', b'{"openings":[{"pointer":"x"}]}'])
def test_other_files_are_no_openings(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_openings(data)


def test_a_value_that_is_no_json_has_no_commitment() -> None:
    with pytest.raises(FormatError) as caught:
        commit(float("nan"), bytes(32))
    assert caught.value.reason == "canonical-value"


def test_requirements_alone_disclose_no_value(make_job: MakeJob, train_set: VerifiedArtifact) -> None:
    job = job_with(make_job, f"properties: {{disclose: requirements, {SHARES}}}", groups="groups: [], overlap: []}")
    wire, sheet, private = measured(job, train_set)
    assert private == {}
    assert [item.holds for item in sheet.shares] == [True, False]
    assert [item.samples for item in sheet.shares] == [500, 500]
    assert set(wire) == {
        "kind",
        "measurer",
        "schema",
        "schemaDigest",
        "configuration",
        "files",
        "rows",
        "columns",
        "distributions",
        "environment",
        "shares",
        "withheld",
    }
    assert wire["distributions"] == []
    assert all(set(column) == {"name", "type"} for column in wire["columns"])
    assert {item["pointer"] for item in wire["withheld"]} == {
        "/duplicates",
        "/labelBalance",
        *(f"/columns/{n}/{key}" for n in range(7) for key in ("missing", "distinct")),
    }
    assert all(set(item) == {"pointer"} for item in wire["withheld"])
    assert set(wire["configuration"]) == {"groups", "overlap", "shares", "disclose"}


def test_requirements_alone_say_the_same_of_other_data_that_meets_them(
    make_job: MakeJob, read: Read, train_rows: list[list[str]]
) -> None:
    """Two datasets of as many rows differ in their digests and sizes, and in nothing that was measured."""
    job = job_with(make_job, f"properties: {{disclose: requirements, {SHARES}}}", groups="groups: [], overlap: []}")
    found = []
    for rows in (train_rows, [train_rows[0]] * 160 + [["33", "?", "1", "true", "Female", "Other", ">50K"]] * 340):
        data = "".join(",".join(row) + "\n" for row in rows).encode()
        wire, _, _ = measured(job, read({"people.data": data}))
        del wire["files"]
        found.append(wire)
    assert found[0] == found[1]


DISCLOSE = "{disclose: requirements, " + SHARES


@pytest.mark.parametrize(
    ("properties", "groups", "reason"),
    [
        (f"{DISCLOSE}}}", "groups: [[sex]], overlap: []}", "job-disclose"),
        ("{disclose: requirements}", "groups: [], overlap: []}", "job-disclose"),
        (f"{DISCLOSE}, withhold: [columns]}}", "groups: [], overlap: []}", "job-disclose"),
        (f"{DISCLOSE}, summaries: [{{column: age, quantiles: []}}]}}", "groups: [], overlap: []}", "job-disclose"),
        ("{disclose: everything}", "groups: [], overlap: []}", "yaml-choice"),
        ("{withhold: [columns, columns]}", "groups: [], overlap: []}", "job-disclose"),
        ("{withhold: [distributions]}", "groups: [], overlap: []}", "yaml-choice"),
        ("{withhold: [shares]}", "groups: [], overlap: []}", "yaml-choice"),
        ("{withhold: []}", "groups: [], overlap: []}", "yaml-empty"),
    ],
)
def test_what_would_be_disclosed_all_the_same_is_refused(
    make_job: MakeJob, properties: str, groups: str, reason: str
) -> None:
    with pytest.raises(FormatError) as caught:
        job_with(make_job, f"properties: {properties}", groups=groups)
    assert caught.value.reason == reason


def test_an_overlap_is_no_requirement(make_job: MakeJob) -> None:
    with pytest.raises(FormatError) as caught:
        make_job(
            ("groups: [[member], [sex, race]]", f"groups: []\n    properties: {{disclose: requirements, {SHARES}}}")
        )
    assert caught.value.reason == "job-disclose"


@pytest.mark.parametrize(
    ("at_least", "holds"), [(0.1, True), (0.3, True), (0.30000000000000004, False), (0.2999999999999999, True)]
)
def test_a_share_is_held_against_the_decimal_that_was_written(
    make_job: MakeJob, read: Read, at_least: float, holds: bool
) -> None:
    """3 of 10 rows are a share of 0.3, which no binary fraction is."""
    row = "33,a,1,true,{},b,>50K\n"
    data = "".join(row.format("Female" if number < 3 else "Male") for number in range(10)).encode()
    shares = f"properties: {{shares: [{{where: {{sex: Female}}, atLeast: {at_least!r}, by: count}}]}}"
    _, sheet, _ = measured(job_with(make_job, shares), read({"a": data}))
    assert sheet.shares[0].holds is holds


def test_groups_may_have_any_name(make_job: MakeJob, read: Read) -> None:
    names = ["'; drop table t0; --", "Ünï\u202ecode", "$1", "?", "a'b"]
    data = "".join(f'33,a,1,true,"{name}",b,>50K\n' for name in names).encode()
    shares = ", ".join(
        f"{{where: {{sex: {'null' if name == '?' else json.dumps(name)}}}, atLeast: {share}, by: count}}"
        for name in names
        for share in (0.2, 0.21)
    )
    _, sheet, _ = measured(job_with(make_job, f"properties: {{shares: [{shares}]}}"), read({"a": data}))
    assert [item.holds for item in sheet.shares] == [True, False] * len(names)


def test_what_cannot_be_computed_is_undefined(make_job: MakeJob, read: Read) -> None:
    properties = """properties: {
      summaries: [{column: score, quantiles: [0.5]}, {column: age, quantiles: []}],
      anonymity: [{quasiIdentifiers: [sex], sensitive: [{column: score, distance: ordered}]}],
      drift: [{reference: people-test, column: score, bins: 4, emptyBins: undefined}]}"""
    job = job_with(make_job, properties)
    one, two = read({"a": b"33,a,?,true,f,b,>50K\n" * 3}), read({"b": b"x\n" + b"40,a,1e308,true,f,b,>50K\n" * 2})
    plan = job.sheet("people-train")
    given = {"dataset": Given(artifact=one, name="x"), "compared:people-test": Given(artifact=two, name="y")}
    sheet = predicates.parse(statement.parse(plan.measure(given, Context()).statements[0].data))
    assert isinstance(sheet, Dataset)
    nothing, age = sheet.summaries
    assert (nothing.samples, nothing.missing, nothing.mean, nothing.minimum) == (0, 3, None, None)
    assert nothing.undefined == "every value is missing"
    assert (age.mean, age.deviation, age.minimum, age.undefined) == (33.0, 0.0, 33.0, None)
    (sensitive,) = sheet.anonymity[0].sensitive
    assert sensitive.closeness is None
    assert sensitive.undefined == "missing values have no place in the order"
    assert (sensitive.distinct_diversity, sensitive.entropy_diversity, sensitive.entropy_counts) == (1, 1.0, (3,))
    (drift,) = sheet.drift
    assert drift.psi is None
    assert drift.kolmogorov_smirnov is None
    assert drift.undefined == "a bin is empty on one side; every value is missing on one side"


def test_sums_that_overflow_are_undefined(make_job: MakeJob, read: Read) -> None:
    data = b"33,a,1.7e308,true,f,b,>50K\n" * 3 + b"33,a,-1.7e308,true,f,b,>50K\n"
    job = job_with(make_job, "properties: {summaries: [{column: score, quantiles: [0.5]}]}")
    _, sheet, _ = measured(job, read({"a": data}))
    (summary,) = sheet.summaries
    assert (summary.minimum, summary.maximum, summary.quantiles[0].value) == (-1.7e308, 1.7e308, 1.7e308)
    assert summary.deviation is None
    assert summary.undefined == "the sums are larger than a number can be"


def test_one_class_and_one_value(make_job: MakeJob, read: Read) -> None:
    properties = """properties: {anonymity: [{quasiIdentifiers: [sex],
      sensitive: [{column: age, distance: ordered}, {column: race, distance: equal}]}]}"""
    _, sheet, _ = measured(job_with(make_job, properties), read({"a": b"33,a,1,true,f,b,>50K\n" * 12}))
    (found,) = sheet.anonymity
    assert (found.classes, found.smallest_class, [item.rows for item in found.rows_below]) == (1, 12, [0, 0, 0, 0])
    assert [(item.distinct_diversity, item.closeness) for item in found.sensitive] == [(1, 0.0), (1, 0.0)]
