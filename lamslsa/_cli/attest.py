"""``lamslsa attest``: measure inside a TEE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import InputPath, Inputs
from lamslsa._cli.attest_setup import Options, common
from lamslsa._cli.inputs import NamedPaths, unique

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.group("attest")
def command() -> None:
    """Measure inside a TEE: statements and the quote that vouches for them.

    A run leaves the folder --out, complete or not at all; `lamslsa publish` signs what is in it.

    \b
    Example:
      lamslsa attest evaluation ./model --dataset adult.test --config census.yaml \\
          --tee simulated --out build/evaluation
    """


def _inputs(
    datasets: Iterable[tuple[str | None, Path]], models: Iterable[tuple[str | None, Path]], model: Path | None = None
) -> Inputs:
    """The inputs of a stage; one dataset may go without its role."""
    inputs = Inputs()
    if model is not None:
        inputs.add("model", "model", model)
    inputs.add_all("model", models, default="model" if model is None else None)
    inputs.add_all("dataset", datasets, default="dataset")
    return inputs


_DATASETS = click.option(
    "--dataset",
    "datasets",
    multiple=True,
    type=InputPath(),
    metavar="[ROLE=]PATH",
    help="Data to read, by its role or its name in the job file; repeatable.",
)
_MODELS = click.option(
    "--model",
    "models",
    multiple=True,
    type=InputPath(),
    metavar="ROLE=PATH",
    help="A model to read, by its role or its name in the job file; repeatable.",
)
_OUTPUTS = click.option(
    "--output",
    "named",
    multiple=True,
    type=NamedPaths(),
    metavar="NAME=DIR",
    help="Folder of an artifact that is made, by its name in the job file; must not exist; repeatable.",
)


def _outputs(named: Sequence[tuple[str, Path]], only: Path | None) -> dict[str | None, Path]:
    outputs: dict[str | None, Path] = {}
    outputs.update(unique(named, "--output"))
    if only is not None:
        outputs[None] = only
    return outputs


@command.command("dataset")
@click.argument("path", type=_PATH)
@click.option("--name", required=True, help="Name of the dataset in the job file.")
@click.option(
    "--dataset",
    "others",
    multiple=True,
    type=NamedPaths(),
    metavar="NAME=PATH",
    help="A dataset that the job compares this one with; repeatable.",
)
@common
def dataset(path: Path, name: str, others: tuple[tuple[str, Path], ...], options: Options, output: ui.Output) -> int:
    """Measure a dataset: its datasheet.

    \b
    Example:
      lamslsa attest dataset adult.test --name census-test --dataset census-train=adult.data \\
          --config census.yaml --tee simulated --out build/census-test
    """
    from lamslsa._cli.attest_run import Asked, measure

    inputs = Inputs()
    inputs.add("dataset", "dataset", path)
    inputs.add_all("dataset", unique(others, "--dataset").items())
    return measure(Asked(stage="dataset", inputs=inputs, name=name), options, output)


@command.command("training")
@_DATASETS
@_MODELS
@_OUTPUTS
@click.option("--model-out", type=_PATH, help="Folder of the model, where one is made; must not exist.")
@click.option("--own", is_flag=True, help="Run your own training loop: the command after --.")
@click.option("--code", type=_PATH, help="With --own: folder of your code, with train.py.")
@click.argument("words", nargs=-1, metavar="[-- python train.py …]")
@common
def training(
    datasets: tuple[tuple[str | None, Path], ...],
    models: tuple[tuple[str | None, Path], ...],
    named: tuple[tuple[str, Path], ...],
    model_out: Path | None,
    own: bool,
    code: Path | None,
    words: tuple[str, ...],
    options: Options,
    output: ui.Output,
) -> int:
    """Train a model and attest how.

    With --own the code is yours, and shares the process with what vouches: it runs in its own enclave build, or on a
    simulated platform, whose measurement covers it, and a policy that takes it pins it by digest.

    \b
    Example:
      lamslsa attest training --config census.yaml --dataset train=adult.data \\
          --model-out ./model --tee simulated --out build/training
      lamslsa attest training --own --code ./training --config own.yaml --dataset train=adult.data \\
          --model-out ./model --tee simulated --out build/training -- python train.py --epochs 3
    """
    from lamslsa._cli.attest_run import Asked, measure

    inputs, outputs = _inputs(datasets, models), _outputs(named, model_out)
    if own:
        from lamslsa._cli.attest_own import train_own

        return train_own(inputs, outputs, words, code, options, output)
    if words or code is not None:
        raise click.UsageError("expected --own with --code and a command of your own, got one of them alone")
    asked = Asked(stage="training", inputs=inputs, outputs=outputs)
    return measure(asked, options, output)


@command.command("transform")
@click.option("--transform", "name", required=True, metavar="NAME", help="Name of the transform in the job file.")
@_DATASETS
@_MODELS
@_OUTPUTS
@click.option("--model-out", type=_PATH, help="Folder of the model, where one artifact is made; must not exist.")
@common
def transform(
    name: str,
    datasets: tuple[tuple[str | None, Path], ...],
    models: tuple[tuple[str | None, Path], ...],
    named: tuple[tuple[str, Path], ...],
    model_out: Path | None,
    options: Options,
    output: ui.Output,
) -> int:
    """Make a model of models, or datasets of datasets, and attest how.

    \b
    Example:
      lamslsa attest transform --transform census-int8 --model parent=./model --dataset calibration=adult.data \\
          --config census.yaml --model-out ./model-int8 --tee simulated --out build/int8
      lamslsa attest transform --transform split --dataset census=adult.data --output train=./train \\
          --output test=./test --config census.yaml --tee simulated --out build/split
    """
    from lamslsa._cli.attest_run import Asked, measure

    asked = Asked(stage="transform", inputs=_inputs(datasets, models), name=name, outputs=_outputs(named, model_out))
    return measure(asked, options, output)


@command.command("evaluation")
@click.argument("model", type=_PATH)
@_DATASETS
@_MODELS
@click.option("--evaluation", "name", metavar="NAME", help="One of the job's evaluations; all of them by default.")
@click.option("--plan", type=_PATH, help="The signed plan that this evaluation carries out (lamslsa plan).")
@common
def evaluation(
    model: Path,
    datasets: tuple[tuple[str | None, Path], ...],
    models: tuple[tuple[str | None, Path], ...],
    name: str | None,
    plan: Path | None,
    options: Options,
    output: ui.Output,
) -> int:
    """Measure a model on data: every evaluation of the job, under one quote.

    \b
    Example:
      lamslsa attest evaluation ./model --dataset adult.test --config census.yaml \\
          --tee simulated --out build/evaluation
      lamslsa attest evaluation ./model --dataset adult.test --dataset train=adult.data --model baseline=./old \\
          --evaluation regression --config census.yaml --tee simulated --out build/regression
    """
    from lamslsa._cli.attest_run import Asked, measure

    asked = Asked(stage="evaluation", inputs=_inputs(datasets, models, model), name=name, plan=plan)
    return measure(asked, options, output)


@command.command("inference")
@click.argument("model", type=_PATH)
@_DATASETS
@_MODELS
@common
def inference(
    model: Path,
    datasets: tuple[tuple[str | None, Path], ...],
    models: tuple[tuple[str | None, Path], ...],
    options: Options,
    output: ui.Output,
) -> int:
    """Run a model on inputs, and attest what it answered; receipts and openings go to --private.

    \b
    Example:
      lamslsa attest inference ./model --dataset adult.test --config census.yaml --private build/receipts \\
          --tee simulated --out build/inference
    """
    from lamslsa._cli.attest_run import Asked, measure

    return measure(Asked(stage="inference", inputs=_inputs(datasets, models, model)), options, output)


@command.command("model")
@click.argument("model", type=_PATH)
@_DATASETS
@_MODELS
@common
def model(
    model: Path,
    datasets: tuple[tuple[str | None, Path], ...],
    models: tuple[tuple[str | None, Path], ...],
    options: Options,
    output: ui.Output,
) -> int:
    """Measure what a model is: parameters, types, files that could run code, weights.

    \b
    Example:
      lamslsa attest model ./model --config census.yaml --tee simulated --out build/model
    """
    from lamslsa._cli.attest_run import Asked, measure

    return measure(Asked(stage="model", inputs=_inputs(datasets, models, model)), options, output)
