"""The plan of ``preprocess/1``, and what its statements say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from lamslsa import _yaml, predicates
from lamslsa.measure import rates
from lamslsa.measure.data import declare as schemas
from lamslsa.measure.data.schema import Label, Schema
from lamslsa.measure.data.table import Source, Table, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Output, Plan, named
from lamslsa.measure.transform.preprocess import columns, join, learned, rows, split, values
from lamslsa.measure.transform.preprocess.frame import Frame, Workspace
from lamslsa.measure.transform.preprocess.interface import WHOLE, Known, Step
from lamslsa.measure.transform.preprocess.join import JOINED
from lamslsa.measure.transform.preprocess.shared import shared_rows
from lamslsa.measure.transform.preprocess.write import FILE, output_schema, write_csv
from lamslsa.measure.transform.provenance import transform_statement
from lamslsa.predicates._common import Digest
from lamslsa.predicates.provenance import Byproduct

__all__ = ["NAME", "STEPS", "Preprocessing", "declare"]

NAME: Final = "preprocess/1"
STEPS: Final[Mapping[str, Callable[[_yaml.Mapping_, Known], Step]]] = MappingProxyType(
    {
        "select": columns.select,
        "drop": columns.drop,
        "rename": columns.rename,
        "copy": columns.copy,
        "filter": rows.filter_rows,
        "dropMissing": rows.drop_missing,
        "dropDuplicates": rows.drop_duplicates,
        "sort": rows.sort,
        "sample": rows.sample,
        "split": split.split,
        "join": join.join,
        "impute": learned.impute,
        "encode": learned.encode,
        "bin": values.bin_values,
        "mapValues": values.map_values,
    }
)
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy")
_MAX_STEPS: Final = 256
_STEP: Final = 0.1  # of the time to read the rows; measured on UCI Adult
_TYPED: Final = re.compile(r"true|false|-?[0-9.]+([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """The plan of a preprocessing.

    Attributes:
        joined: the datasets that steps join.
        outputs: part to the name of the dataset that is made of it.
    """

    dataset: DatasetJob
    joined: tuple[DatasetJob, ...]
    declared: tuple[Step, ...]
    null_token: str | None
    label: Label | None
    outputs: Mapping[str, str]

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The dataset, and those that are joined, all of them tables."""
        roles = [("dataset", self.dataset), *((f"{JOINED}{other.name}", other) for other in self.joined)]
        return tuple(Input(role=role, kind="dataset", name=job.name, streamed=True) for role, job in roles)

    @property
    def makes(self) -> tuple[str, ...]:
        """A dataset for each part."""
        return tuple(self.outputs.values())

    def steps(self) -> tuple[str, ...]:
        """What would be done."""
        return (
            *(f"{step.resolved()['step']}, step {number}" for number, step in enumerate(self.declared, 1)),
            *(f"write {output} from part {part}" for part, output in self.outputs.items()),
        )

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        read = {"dataset": self.dataset, **{f"{JOINED}{other.name}": other for other in self.joined}}
        passes = 1 + _STEP * (len(self.declared) + len(self.outputs))
        seconds = sum(rates.counting(job.schema, sizes[role]) for role, job in read.items())
        return rates.LOADING["duckdb"] + passes * seconds

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Apply the steps and write the outputs; see `lamslsa.measure.interface.Plan`."""
        total = len(self.declared) + len(self.outputs) + 1
        context.progress("preprocessing", 0, total)
        read = {"dataset": self.dataset, **{f"{JOINED}{other.name}": other for other in self.joined}}
        sources = {
            role: Source(file=the_table(inputs[role].artifact, dataset.name), schema=_without_label(dataset.table))
            for role, dataset in read.items()
        }
        with open_tables(sources) as tables:
            space = self._workspace(tables)
            frames, report = self._apply(space, tables["dataset"], context, total)
            written = {}
            for done, (part, frame) in enumerate(frames.items(), len(self.declared) + 1):
                context.progress("preprocessing", done, total)
                schema = output_schema(frame, null_token=self.null_token, label=self.label)
                written[part] = (schema, Output.of("dataset", {FILE: write_csv(frame, schema, space)}), frame.rows)
            shared = shared_rows(frames, space, label=self.label)
        surroundings = environment(_PACKAGES)
        datasets = {role: (dataset, inputs[role]) for role, dataset in read.items()}
        statements = [
            transform_statement(
                transform=self.measurer,
                name=self.outputs[part],
                output=output.manifest,
                configuration=self._configuration(part),
                datasets=datasets,
                models={},
                packages=_PACKAGES,
                byproducts=(_schema_byproduct(schema), _report({**report, "rows": count, "shared": shared[part]})),
                label="provenance",
                surroundings=surroundings,
            )
            for part, (schema, output, count) in written.items()
        ]
        context.progress("preprocessing", total, total)
        return Outcome(
            statements=statements, outputs={self.outputs[part]: output for part, (_, output, _) in written.items()}
        )

    def _workspace(self, tables: Mapping[str, Table]) -> Workspace:
        connection, _ = tables["dataset"].relation
        return Workspace(connection, {other.name: tables[f"{JOINED}{other.name}"] for other in self.joined})

    def _apply(
        self, space: Workspace, table: Table, context: Context, total: int
    ) -> tuple[dict[str, Frame], dict[str, Any]]:
        """The parts that become outputs, and what is to be said of the steps."""
        frames: Mapping[str, Frame] = {WHOLE: space.frame(table)}
        said = []
        for number, step in enumerate(self.declared):
            context.progress("preprocessing", number + 1, total)
            before = {part: frame.rows for part, frame in frames.items()}
            applied = step.apply(frames, space)
            frames = applied.frames
            space.drop_all_but(frames.values())
            after = {part: frame.rows for part, frame in frames.items()}
            said.append({"step": step.resolved()["step"], "rowsIn": before, "rowsOut": after, **applied.facts})
        report = {"steps": said, "learning": self._learning()}
        return {part: frames[part] for part in self.outputs}, report

    def _learning(self) -> list[dict[str, Any]]:
        """The steps that learned from rows, by position from 0: whose rows in the end, and for whose they were used.

        Before a split the rows are those of every part that it makes.
        """
        kinds = [step.resolved() for step in self.declared]
        at, parts = next(
            ((number, list(step["into"])) for number, step in enumerate(kinds) if step["step"] == "split"), (0, [WHOLE])
        )
        return [
            {"step": number, "from": parts if number < at else [step["learnedFrom"]], "to": parts}
            for number, step in enumerate(kinds)
            if "learnedFrom" in step
        ]

    def _configuration(self, part: str) -> dict[str, Any]:
        return {
            "steps": [step.resolved() for step in self.declared],
            "nullToken": self.null_token,
            "label": None if self.label is None else self.label.resolved(),
            "outputs": dict(self.outputs),
            "part": part,
        }


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    dataset = scope.dataset(node.take("dataset"))
    known = Known(columns=dataset.table.columns, scope=scope)
    steps_node = node.take("steps")
    items = steps_node.sequence(empty=True)
    if len(items) > _MAX_STEPS:
        steps_node.refuse(f"expected at most {_MAX_STEPS} steps, got {len(items)}", reason="preprocess-steps")
    steps = tuple(_step(item.mapping(), known) for item in items)
    token = _null_token(node.take("nullToken"))
    outputs_node = node.take("outputs").mapping()
    outputs = {}
    for part, output in outputs_node:
        if part not in known.parts:
            output.refuse(
                f"expected one of the parts {', '.join(known.parts)}, got {part!a:.80}", reason="preprocess-outputs"
            )
        outputs[part] = name(output)
    if not outputs or len(set(outputs.values())) != len(outputs):
        outputs_node.refuse("expected outputs of different names, got others", reason="preprocess-outputs")
    # Columns that one-hot encoding took apart have no values of their own that a label could be.
    whole = tuple(column for column in known.columns if column.name not in known.apart)
    return Preprocessing(
        dataset=dataset,
        joined=tuple(known.joined),
        declared=steps,
        null_token=token,
        label=schemas.label(node.take("label"), whole),
        outputs=outputs,
    )


def _step(node: _yaml.Mapping_, known: Known) -> Step:
    step = STEPS[node.take("step").choice(STEPS)](node, known)
    node.finish()
    return step


def _null_token(node: _yaml.Node) -> str | None:
    """The null token; not one that is a number or a truth value, since a column could hold it."""
    token = schemas.null_token(node)
    if token is not None and _TYPED.fullmatch(token):
        node.refuse(f"expected a null token that is no value, got {token!a:.40}", reason="preprocess-null-token")
    return token


def _without_label(schema: Schema) -> Schema:
    return replace(schema, label=None)


def _schema_byproduct(schema: Schema) -> Byproduct:
    """The schema under which the output reads back; its digest is the ``schemaDigest`` of whoever reads it so."""
    return Byproduct(
        name="schema",
        digest=Digest(sha256=schema.sha256),
        annotations={"kind": "schema", "schema": schema.resolved()},
    )


def _report(report: Mapping[str, Any]) -> Byproduct:
    """What happened, with its digest: of the RFC 8785 form."""
    return Byproduct(
        name="report",
        digest=Digest(sha256=predicates.configuration_digest(dict(report))),
        annotations={"kind": "report", **report},
    )
