"""Trainers ``logistic-regression/1`` and ``gradient-boosting/1``: scikit-learn's estimators, stored as ONNX.

logistic-regression/1  two classes or more; L2 penalty of strength 1/C, an intercept; features as float64
                       keys: model, dataset, drop, solver, C, maxIterations, tolerance, seed, conversionTolerance
gradient-boosting/1    two classes or more (log loss) or numbers (squared error); one regression tree a stage and class
                       keys: model, dataset, drop, trees, learningRate, maxDepth, minSamplesLeaf, subsample, seed,
                       conversionTolerance

Rules:
- One thread, one seed, float32 features as every other model has them: the same bytes in every process on one kind of
  machine. The model is never stored as a pickle, not even on the way.
- What the estimator says of itself (iterations run, whether it converged, trees grown) stands among the byproducts as
  ``fit``, together with the largest difference between it and the ONNX graph over all training rows; above
  ``conversionTolerance`` there is no model.
- A class that the training data lacks is refused: the graph would have fewer outputs than the label has classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec, _yaml
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.data.table import Source, open_tables
from lamslsa.measure.dataset.tabular import the_table
from lamslsa.measure.declarations import DatasetJob, Scope, name
from lamslsa.measure.environment import environment
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Plan, Progress, named
from lamslsa.measure.models.encode import encode, learn
from lamslsa.measure.models.interface import DESCRIPTION_FILE, dump_description
from lamslsa.measure.models.onnx_model import ARCHITECTURE, ONNX_FILE, Description, Rows
from lamslsa.measure.training.provenance import TRAIN, training_outcome
from lamslsa.measure.training.sklearn_onnx import largest_difference, to_onnx
from lamslsa.measure.training.sklearn_progress import listen
from lamslsa.predicates.provenance import Byproduct

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["BOOSTING", "LOGISTIC", "SklearnTraining", "declare_boosting", "declare_logistic"]

LOGISTIC: Final = "logistic-regression/1"
BOOSTING: Final = "gradient-boosting/1"
_ITERATIONS: Final = 100  # solvers have mostly converged by then
_ITERATION_S: Final = {
    "lbfgs": 2e-9,
    "newton-cg": 5e-9,
    "newton-cholesky": 1e-9,
    "sag": 1e-8,
    "saga": 1e-8,
}
_SPLIT_S: Final = 8e-9  # a level of a tree, as above an iteration, for each row and input; see lamslsa.measure.rates
_SOLVERS: Final = ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")
_MAX_TREES: Final = 100_000
_PACKAGES: Final = (
    *("duckdb", "lamslsa", "numpy", "onnx", "onnxruntime", "scikit-learn", "scipy", "skl2onnx", "threadpoolctl"),
)

Fit = Callable[["SklearnTraining", "Array", "Array", Progress], tuple[Any, dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SklearnTraining:
    """The plan of a training.

    Attributes:
        trainer: by name and version.
        drop: features that the model does not see.
        hyperparameters: as the job file and the statement name them.
        conversion_tolerance: the largest difference between estimator and ONNX graph that is let through.
    """

    trainer: str
    model: str
    dataset: DatasetJob
    drop: tuple[str, ...]
    hyperparameters: Mapping[str, Any]
    conversion_tolerance: float

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(self.trainer)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The training data."""
        return (Input(role=TRAIN, kind="dataset", name=self.dataset.name),)

    @property
    def makes(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)

    def steps(self) -> tuple[str, ...]:
        """What would be trained."""
        return (
            f"{self.trainer} on {self.dataset.name}",
            "the estimator as an ONNX graph, compared with it on every training row",
        )

    def configuration(self) -> dict[str, Any]:
        """The configuration as it stands in the statement."""
        return {
            **self.hyperparameters,
            "drop": list(self.drop),
            "conversionTolerance": self.conversion_tolerance,
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        schema, asked = self.dataset.table, self.hyperparameters
        classes = schema.target.task.classes or 1
        work: float
        if self.trainer == LOGISTIC:
            work = min(asked["maxIterations"], _ITERATIONS) * _ITERATION_S[asked["solver"]] * classes / 2
        else:
            work = asked["trees"] * asked["maxDepth"] * asked["subsample"] * _SPLIT_S * (classes if classes > 2 else 1)
        cells = rates.rows(schema, sizes[TRAIN]) * rates.inputs(len(schema.features) - len(self.drop))
        return rates.LOADING["scikit-learn"] + rates.reading(schema, sizes[TRAIN]) + cells * work

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Train in memory, and say in the statement how; see `lamslsa.measure.interface.Plan`."""
        import threadpoolctl

        given, progress = inputs[TRAIN], context.progress
        target = self.dataset.table.target
        columns = tuple(item.name for item in self.dataset.table.features if item.name not in self.drop)
        source = Source(file=the_table(given.artifact, self.dataset.name), schema=self.dataset.table)
        progress("reading rows", 0, 1)
        with open_tables({"train": source}) as tables:
            features = learn(tables["train"], columns)
            rows = encode(tables["train"], features)
            labels = tables["train"].values(target.column)
        progress("reading rows", 1, 1)
        description = Description(
            architecture=ARCHITECTURE,
            reads=Rows(features=features),
            label=target.column,
            classes=target.task.classes,
        )
        description.refuse()
        _refuse_labels(labels, description)
        with threadpoolctl.threadpool_limits(1):
            estimator, fit = _FITS[self.trainer](self, rows, labels, progress)
            surroundings = environment(_PACKAGES)
        data = to_onnx(estimator, description)
        difference, compared = largest_difference(
            estimator, description, data, rows, tolerance=self.conversion_tolerance
        )
        measured = {**fit, "largestDifference": difference, "comparedRows": compared}
        return training_outcome(
            trainer=self.measurer,
            model=self.model,
            files={DESCRIPTION_FILE: dump_description(description), ONNX_FILE: data},
            dataset=self.dataset,
            artifact=given.artifact,
            configuration=self.configuration(),
            surroundings=surroundings,
            byproducts=[
                Byproduct(
                    name="fit",
                    content=_codec.encode_base64(_codec.dumps(measured)),
                    media_type="application/json",
                )
            ],
        )


def _refuse_labels(labels: Array, description: Description) -> None:
    import numpy as np

    if description.classes is None:
        return
    present = np.unique(labels)
    if len(present) != description.classes:
        raise FormatError(
            f"expected training rows of all {description.classes} classes, got {len(present)} of them",
            reason="training-classes",
            hint="leave the class out of the schema, or train on data that has it",
        )


def _fit_logistic(plan: SklearnTraining, rows: Array, labels: Array, progress: Progress) -> tuple[Any, dict[str, Any]]:
    """Iterations are counted where scikit-learn tells of them (`sklearn_progress`); otherwise all of it is one step.

    Some iterations at a time, each going on from the last, would tell as well, and would give other weights: lbfgs
    forgets its curvature, and sag its gradients.
    """
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    asked = plan.hyperparameters
    most = asked["maxIterations"]
    estimator = LogisticRegression(
        solver=asked["solver"],
        C=asked["C"],
        max_iter=most,
        tol=asked["tolerance"],
        random_state=asked["seed"],
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        progress("training", 0, most)
        listen(estimator, progress, most=most)
        _run(estimator, rows.astype(np.float64), labels)
        progress("training", most, most)
    _refuse_weights(estimator.coef_, estimator.intercept_)
    converged = not any(issubclass(item.category, ConvergenceWarning) for item in caught)
    return estimator, {"iterations": int(np.max(estimator.n_iter_)), "converged": converged}


def _fit_boosting(plan: SklearnTraining, rows: Array, labels: Array, progress: Progress) -> tuple[Any, dict[str, Any]]:
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    asked = plan.hyperparameters
    kind = GradientBoostingRegressor if plan.dataset.table.target.classes is None else GradientBoostingClassifier
    estimator = kind(
        n_estimators=asked["trees"],
        learning_rate=asked["learningRate"],
        max_depth=asked["maxDepth"],
        min_samples_leaf=asked["minSamplesLeaf"],
        subsample=asked["subsample"],
        random_state=asked["seed"],
    )

    def told(stage: int, *_: Any) -> bool:
        progress("growing trees", stage + 1, asked["trees"])
        return False  # go on

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _run(estimator, rows, labels, monitor=told)
    _refuse_weights(estimator.train_score_)
    grown = [tree for stage in estimator.estimators_ for tree in stage]
    return estimator, {
        "trees": len(grown),
        "leaves": int(sum(tree.get_n_leaves() for tree in grown)),
        "lossPerStage": [float(value) for value in estimator.train_score_],
    }


def _run(estimator: Any, rows: Array, labels: Array, **options: Any) -> None:
    try:
        estimator.fit(rows, labels, **options)
    except (ValueError, FloatingPointError, ArithmeticError) as err:
        message = " ".join(str(err).split())[:200]
        raise FormatError(
            f"expected data that scikit-learn can learn from, got an error: {message}", reason="training-failed"
        ) from err


def _refuse_weights(*arrays: Array) -> None:
    import numpy as np

    if not all(bool(np.isfinite(array).all()) for array in arrays):
        raise FormatError("expected finite weights, got others", reason="training-diverged")


_FITS: Final[Mapping[str, Fit]] = {LOGISTIC: _fit_logistic, BOOSTING: _fit_boosting}


def declare_logistic(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan of a logistic regression that a job file declares; every hyperparameter is written."""
    dataset = scope.dataset(node.take("dataset"))
    if dataset.table.target.classes is None:
        node.refuse(
            "expected a dataset with a label of classes, got numbers", reason="job-label", hint=f"train {BOOSTING}"
        )
    return _plan(
        LOGISTIC,
        node,
        dataset,
        {
            "solver": node.take("solver").choice(_SOLVERS),
            "C": _positive(node.take("C"), maximum=1e12),
            "maxIterations": node.take("maxIterations").integer(minimum=1, maximum=1_000_000),
            "tolerance": _positive(node.take("tolerance"), maximum=1),
            "seed": node.take("seed").integer(minimum=0, maximum=2**32 - 1),
        },
    )


def declare_boosting(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan of gradient boosting that a job file declares; every hyperparameter is written."""
    dataset = scope.dataset(node.take("dataset"))
    trees = node.take("trees")
    count = trees.integer(minimum=1, maximum=_MAX_TREES)
    classes = dataset.table.target.task.classes or 1
    if classes > 2 and count * classes > _MAX_TREES:
        trees.refuse(f"expected at most {_MAX_TREES} trees in all, got {count * classes}", reason="yaml-range")
    return _plan(
        BOOSTING,
        node,
        dataset,
        {
            "trees": count,
            "learningRate": _positive(node.take("learningRate"), maximum=1000),
            "maxDepth": node.take("maxDepth").integer(minimum=1, maximum=32),
            "minSamplesLeaf": node.take("minSamplesLeaf").integer(minimum=1, maximum=2**31),
            "subsample": _positive(node.take("subsample"), maximum=1),
            "seed": node.take("seed").integer(minimum=0, maximum=2**32 - 1),
        },
    )


def _plan(trainer: str, node: _yaml.Mapping_, dataset: DatasetJob, hyperparameters: dict[str, Any]) -> Plan:
    features = [column.name for column in dataset.table.features]
    drop_node = node.take("drop")
    drop = tuple(item.choice(features) for item in drop_node.sequence(empty=True))
    if len(set(drop)) != len(drop) or len(drop) == len(features):
        drop_node.refuse("expected some features to remain and each to be dropped once, got others", reason="job-drop")
    return SklearnTraining(
        trainer=trainer,
        model=name(node.take("model")),
        dataset=dataset,
        drop=drop,
        hyperparameters=hyperparameters,
        conversion_tolerance=_positive(node.take("conversionTolerance"), maximum=1),
    )


def _positive(node: _yaml.Node, *, maximum: float) -> float:
    value = node.number(minimum=0, maximum=maximum)
    if value <= 0:
        node.refuse("expected a number above 0, got another", reason="yaml-range")
    return value
