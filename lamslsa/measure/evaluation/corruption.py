"""Measurer ``corruptions/1``: how many rows, images or texts get their class after everyday damage.

What is damaged, and how much at each severity, is in `corruption_images` and `corruption_rows`. The randomness of each
corruption at each severity has a seed of its own, so no value depends on which others were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.data.schema import ImageSchema
from lamslsa.measure.declarations import DatasetJob, Scope, fraction
from lamslsa.measure.evaluation import intervals
from lamslsa.measure.evaluation.corruption_images import IMAGES
from lamslsa.measure.evaluation.corruption_rows import TABLES, TEXTS, Table, lacking, places
from lamslsa.measure.evaluation.robustness import select
from lamslsa.measure.evaluation.robustness_metrics import Parameters, Rows, proportion, refuse_numbers, rows_wanted
from lamslsa.measure.evaluation.statement import evaluation_seed, evaluation_statement
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, named, silent
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.examples import MISSING, Examples, read_examples
from lamslsa.measure.models.interface import ImageInputs, TableInputs, TextInputs
from lamslsa.measure.models.loading import LoadedModel, load_model
from lamslsa.measure.models.predict import predict
from lamslsa.measure.models.words import encode_texts
from lamslsa.measure.seeds import generator, sub_seed
from lamslsa.predicates.evaluation import Interval, Metric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["NAME", "Corruptions", "corrupter", "declare"]

NAME: Final = "corruptions/1"
_PACKAGES: Final = ("duckdb", "lamslsa", "numpy", "pillow", "safetensors", "scipy", "torch")
_ALL: Final = (*IMAGES, *TABLES, *TEXTS)
_Make = Callable[[str, int, "np.random.Generator"], "Array"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruptions:
    """The plan.

    Attributes:
        rows: how many rows are damaged; None for all.
        corruptions: which; None for all that there are for such data.
        columns: of a table, which are damaged; None for all.
    """

    dataset: DatasetJob
    rows: Rows
    confidence_level: float
    resamples: int
    corruptions: tuple[str, ...] | None
    severities: tuple[int, ...]
    columns: tuple[str, ...] | None

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the data that is damaged."""
        return (Input(role="model", kind="model"), Input(role="dataset", kind="dataset", name=self.dataset.name))

    def steps(self) -> tuple[str, ...]:
        """Which corruptions would be measured."""
        which = "all corruptions" if self.corruptions is None else ", ".join(self.corruptions)
        rows = "all" if self.rows is None else self.rows
        severities = ", ".join(map(str, self.severities))
        return (f"{which} at severity {severities} on {rows} rows of {self.dataset.name}",)

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {
            "rows": "all" if self.rows is None else self.rows,
            "confidenceLevel": self.confidence_level,
            "resamples": self.resamples,
            "corruptions": "all" if self.corruptions is None else list(self.corruptions),
            "severities": list(self.severities),
            "columns": "all" if self.columns is None else list(self.columns),
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        schema, size = self.dataset.schema, sizes["dataset"]
        kinds = len(IMAGES) if isinstance(schema, ImageSchema) else len(TABLES)
        damages = len(self.severities) * (kinds if self.corruptions is None else len(self.corruptions))
        asked = rates.attacking(schema, size, model=sizes["model"], limit=self.rows, passes=1 + damages)
        there = rates.rows(schema, size)
        rows = there if self.rows is None else min(self.rows, there)
        damaging = damages * rates.reading(schema, size) * (rows / there if there else 1)
        return asked + damaging + rates.resampling(rows, self.resamples, metrics=2)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Damage and ask; see `lamslsa.measure.interface.Plan`."""
        model, dataset = inputs["model"], inputs["dataset"]
        configuration = self.configuration()
        seed = evaluation_seed(model, dataset, configuration)
        with one_thread(device=context.device):
            loaded = load_model(model.artifact, device=context.device)
            refuse_numbers(loaded)
            examples = read_examples(loaded, dataset.artifact, self.dataset, columns=self.wanted_columns(loaded))
            examples = select(examples, self.rows, seed)
            metrics = self.metrics(loaded, examples, seed, context)
            return evaluation_statement(
                measurer=self.measurer,
                model=model,
                loaded=[loaded],
                dataset=self.dataset,
                data=dataset,
                configuration=configuration,
                groups=(),
                metrics=metrics,
                packages=_PACKAGES,
                context=context,
            )

    def wanted_columns(self, loaded: LoadedModel) -> tuple[str, ...]:
        """The columns whose own values are needed beside the inputs of the network.

        Raises:
            FormatError: a column that the model does not read, or columns of something that has none.
        """
        what = loaded.description.inputs
        if isinstance(what, TableInputs):
            found = [place.name for place in places(what)]
            types = {column.name: column.type for column in self.dataset.table.features}
            if self.columns is not None and not set(self.columns) <= set(found):
                raise _columns(f"columns that the model reads, got {', '.join(self.columns)[:80]}")
            return tuple(name for name in self.columns or found if types.get(name) in ("integer", "number"))
        if self.columns is not None:
            raise _columns("columns: all for images and texts, got a list")
        return (what.column,) if isinstance(what, TextInputs) else ()

    def metrics(self, loaded: LoadedModel, examples: Examples, seed: bytes, context: Context) -> list[Metric]:
        """Accuracy; for each corruption and severity the accuracy under it; their mean, and the drop.

        Raises:
            FormatError: a corruption that is not for such data.
        """
        import numpy as np

        names, make, reasons = corrupter(loaded, examples, self.columns)
        if self.corruptions is not None and not set(self.corruptions) <= set(names):
            raise FormatError(
                f"expected corruptions of such data, got {', '.join(self.corruptions)[:80]}",
                reason="corruption-kind",
                hint=f"there are {', '.join(names)}",
            )
        chosen = names if self.corruptions is None else self.corruptions
        quiet = replace(context, progress=silent)

        def right(inputs: Array) -> Array:
            return _correct(loaded, inputs, examples.labels, quiet)

        level = self.confidence_level
        clean = right(examples.inputs)
        metrics = [proportion("accuracy", clean, level=level)]
        parts: list[Array] = []
        covered = [name for name in names if name in chosen and name not in reasons]
        damages = [(name, severity) for name in chosen for severity in self.severities]
        for done, (name, severity) in enumerate(damages):
            context.progress("corrupting rows", done, len(damages))
            at: Parameters = {"corruption": name, "severity": severity}
            if name in reasons:
                metrics.append(
                    Metric(name="corruption_accuracy", samples=len(clean), undefined=reasons[name], parameters=at)
                )
                continue
            random = generator(sub_seed(seed, "corruption", [name, str(severity)]))
            parts.append(right(make(name, severity, random)))
            metrics.append(proportion("corruption_accuracy", parts[-1], level=level, parameters=at))
        context.progress("corrupting rows", len(damages), len(damages))
        over: Parameters = {"corruptions": ",".join(covered or [name for name in names if name in chosen])}
        return [*metrics, *self._together(clean, np.mean(parts, axis=0) if parts else None, seed, over)]

    def _together(self, clean: Array, damaged: Array | None, seed: bytes, over: Parameters) -> Iterator[Metric]:
        """The mean over corruptions and severities, and by how much of the accuracy it is lower.

        Which corruptions apply hangs on what the model reads, so ``over`` tells means of different ones apart.
        """
        rows = len(clean)
        kept = clean if damaged is None else damaged

        def mean(chosen: Array) -> float:
            return float(kept[chosen].mean())

        def drop(chosen: Array) -> float:
            whole = float(clean[chosen].mean())
            return 1 - mean(chosen) / whole if whole else float("nan")

        for name, formula in (("mean_corruption_accuracy", mean), ("relative_corruption_drop", drop)):
            if not rows or damaged is None:
                reason = "no corruption applies" if rows else "there are no rows"
                yield Metric(name=name, samples=rows, undefined=reason, parameters=over)
            elif name == "relative_corruption_drop" and not clean.any():
                reason = "no row gets its class to begin with"
                yield Metric(name=name, samples=rows, undefined=reason, parameters=over)
            else:
                yield self._over_rows(name, formula, rows, seed, over)

    def _over_rows(
        self, name: str, formula: Callable[[Array], float], rows: int, seed: bytes, over: Parameters
    ) -> Metric:
        import numpy as np

        bounds = intervals.bootstrap_rows(
            formula, rows, seed=sub_seed(seed, name, ()), resamples=self.resamples, level=self.confidence_level
        )
        interval = None
        if bounds is not None:
            interval = Interval(
                level=self.confidence_level,
                lower=bounds[0],
                upper=bounds[1],
                method="percentile-bootstrap",
                resamples=self.resamples,
            )
        return Metric(name=name, samples=rows, value=formula(np.arange(rows)), interval=interval, parameters=over)


def corrupter(
    loaded: LoadedModel, examples: Examples, columns: tuple[str, ...] | None
) -> tuple[tuple[str, ...], _Make, Mapping[str, str]]:
    """The corruptions of such data by name, what makes the damaged inputs, and which would do nothing, and why."""
    import numpy as np

    what = loaded.description.inputs
    if isinstance(what, ImageInputs):
        return (
            tuple(IMAGES),
            lambda name, severity, random: IMAGES[name][0](examples.inputs, random, IMAGES[name][1][severity - 1]),
            {},
        )
    if isinstance(what, TextInputs):
        texts = ["" if text == MISSING else text for text in examples.columns[what.column]]
        return (
            tuple(TEXTS),
            lambda name, severity, random: encode_texts(
                TEXTS[name][0](texts, random, TEXTS[name][1][severity - 1]), what
            ),
            {},
        )
    table = Table(
        inputs=examples.inputs,
        places=tuple(place for place in places(what) if columns is None or place.name in columns),
        absent={name: np.array([text == MISSING for text in texts]) for name, texts in examples.columns.items()},
    )
    return (
        tuple(TABLES),
        lambda name, severity, random: TABLES[name][0](table, random, TABLES[name][1][severity - 1]),
        lacking(table),
    )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares; every parameter is written."""
    dataset = scope.dataset(node.take("dataset"))
    severities_node, columns_node = node.take("severities"), node.take("columns")
    severities = tuple(item.integer(minimum=1, maximum=5) for item in severities_node.sequence())
    if list(severities) != sorted(set(severities)):
        severities_node.refuse("expected severities in ascending order, got others", reason="job-severities")
    is_table = not isinstance(dataset.schema, ImageSchema)
    return Corruptions(
        dataset=dataset,
        rows=rows_wanted(node.take("rows")),
        confidence_level=fraction(node.take("confidenceLevel")),
        resamples=node.take("resamples").integer(minimum=1, maximum=100_000),
        corruptions=_names(node.take("corruptions"), _ALL),
        severities=severities,
        columns=_names(columns_node, tuple(column.name for column in dataset.table.features) if is_table else ()),
    )


def _names(node: _yaml.Node, options: tuple[str, ...]) -> tuple[str, ...] | None:
    """``all`` (None), or some of the options, each once."""
    if isinstance(node, _yaml.Scalar):
        node.choice(["all"])
        return None
    found = tuple(item.choice(options) for item in node.sequence())
    if len(set(found)) != len(found):
        node.refuse("expected each name once, got one twice", reason="job-corruptions")
    return found


def _correct(loaded: LoadedModel, inputs: Array, labels: Array, context: Context) -> Array:
    """Whether each row gets its class: of two classes 1 from probability one half on."""
    import numpy as np

    if not len(labels):
        return np.zeros(0, dtype=bool)
    scores = predict(loaded, inputs, context)
    classes = scores >= 0.5 if scores.ndim == 1 else scores.argmax(axis=1)
    right: Array = classes == labels
    return right


def _columns(expected: str) -> FormatError:
    return FormatError(f"expected {expected}", reason="corruption-columns", hint="name features of the model, or all")
