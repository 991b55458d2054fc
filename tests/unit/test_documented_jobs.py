"""Every job in the documentation loads, and every measurer there is has one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from lamslsa.measure import Job, foresight, load_job
from lamslsa.measure.data.schema import Schema
from lamslsa.measure.dataset.declare import NAMES as DATASETS
from lamslsa.measure.interface import Plan, Stage
from lamslsa.measure.registry import BUILT_IN

ROOT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```yaml\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
_WHOLE: Final = "apiVersion: "
STAGES: Final[tuple[Stage, ...]] = ("training", "transform", "evaluation", "inference", "model")


def _jobs(document: str) -> list[str]:
    """The blocks of a document as job files: one that is a part follows the first whole one without any part."""
    blocks = _BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    whole = [block for block in blocks if block.startswith(_WHOLE)]
    return [block if block.startswith(_WHOLE) else whole[0] + block for block in blocks]


JOBS: Final = {
    f"{document} {number}": job
    for document in ("docs/job-file.md", "docs/measurers.md")
    for number, job in enumerate(_jobs(document), 1)
}


def _plans(job: Job) -> list[Plan]:
    several = [*job.sheets.values(), *job.transforms.values(), *job.evaluations.values()]
    return [*several, *(plan for plan in (job.training, job.inference, job.model) if plan is not None)]


@pytest.mark.parametrize("where", JOBS)
def test_a_documented_job_loads(where: str) -> None:
    plans = _plans(load_job(JOBS[where].encode(), where))
    assert plans
    for plan in plans:
        assert plan.steps()
        assert plan.inputs


@pytest.mark.parametrize("where", JOBS)
def test_a_documented_job_tells_what_it_makes_before_it_is_run(where: str) -> None:
    job = load_job(JOBS[where].encode(), where)
    making = [*job.transforms.values(), *(plan for plan in (job.training,) if plan is not None)]
    for plan in _plans(job):
        assert (foresight.makes(plan) is not None) == (plan in making), plan.measurer
        withheld = "withhold" in getattr(plan, "configuration", {}) if plan in job.sheets.values() else False
        assert foresight.makes_private(plan) == (plan is job.inference or withheld), plan.measurer
        seconds = foresight.estimate(plan, {item.role: 1_000_000 for item in plan.inputs})
        assert seconds is None or 0 < seconds < 86_400


@pytest.mark.parametrize("where", JOBS)
def test_tables_alone_are_read_block_by_block(where: str) -> None:
    job = load_job(JOBS[where].encode(), where)
    for plan in _plans(job):
        block_by_block = plan in job.sheets.values() or str(plan.measurer) == "preprocess/1"
        for item in plan.inputs:
            table = (
                item.name is not None and isinstance(job.datasets[item.name].schema, Schema)
                if block_by_block
                else False
            )
            assert item.streamed == table, (plan.measurer, item)


def test_every_measurer_has_a_documented_job() -> None:
    documented = {str(plan.measurer) for where, job in JOBS.items() for plan in _plans(load_job(job.encode(), where))}
    assert documented == {name for stage in STAGES for name in BUILT_IN.names(stage)} | set(DATASETS)


def test_every_measurer_stands_in_the_table() -> None:
    text = (ROOT / "docs/measurers.md").read_text(encoding="utf-8")
    table = text.split("\n## ", maxsplit=1)[0]
    for name in (*DATASETS, *(name for stage in STAGES for name in BUILT_IN.names(stage))):
        assert f"`{name}`" in table, name


def test_every_documented_property_of_a_dataset_is_one() -> None:
    """The table of properties names what a job may ask for, and nothing else."""
    from lamslsa.measure.dataset.properties import TABLE_FAMILIES

    text = (ROOT / "docs/measurers.md").read_text(encoding="utf-8")
    section = text.split("### Properties that a job asks for")[1].split("\n## ")[0]
    named = {name.split(":")[0] for name in re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)}
    assert named == {*TABLE_FAMILIES, "normalization", "disclose", "withhold"}
