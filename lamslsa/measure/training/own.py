"""Trainer ``own/2``: a user's own training loop, run where its code is part of what the TEE measures, and nowhere else.

Such code shares the process with everything that vouches, so it can forge whatever that process says. That is why its
bytes are part of the build's measurement, why a reference value lets that measurement vouch for this trainer alone
(threat model, attester 3), and why a policy that takes it pins the code by digest: whoever does so has read it.

The code is a folder with ``train.py``, run as a program with the arguments that were asked for; `lamslsa.own` gives it
its inputs and takes its model.

    apiVersion: lamslsa.dev/own-training/v1
    kind: OwnTraining
    model: <name>
    datasets: {<role>: <name>, …}           as `lamslsa.own.inputs` and the statement call them
    models: {<role>: <name>, …}             may be empty
    configuration: {…}                      whatever the code reads; stands in the statement, and so do the arguments
"""

from __future__ import annotations

import importlib.metadata
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lamslsa import _codec, _yaml, own, predicates, statement
from lamslsa.artifact.manifest import Kind, Manifest
from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.errors import FormatError
from lamslsa.measure.environment import code_identity, environment, purl
from lamslsa.measure.interface import Context, Device, Given, Input, MeasurerName, Outcome, Output, Payload, named
from lamslsa.measure.training.own_code import code_manifest
from lamslsa.measure.training.own_run import SCRIPT, read_model, run_script
from lamslsa.predicates._common import Digest
from lamslsa.predicates.provenance import (
    BUILDER_PREFIX,
    OWN_TRAINING_BUILD_TYPE,
    PREDICATE_TYPE,
    BuildDefinition,
    Builder,
    Byproduct,
    Dependency,
    DependencyAnnotations,
    ExternalParameters,
    InternalParameters,
    Provenance,
    RunDetails,
)

__all__ = ["ARGUMENTS", "CODE", "NAME", "OwnTraining", "load_own_training"]

NAME: Final = "own/2"
CODE: Final = "training-code"
ARGUMENTS: Final = "arguments"
_API_VERSION: Final = "lamslsa.dev/own-training/v1"
_MAX_NAME: Final = 128
_MAX_INPUTS: Final = 64
_RUN: Final = "training with your own code"
_STEPS: Final = "steps of your own code"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTraining:
    """The plan of a user's own training.

    Attributes:
        datasets: role to name.
        models: role to name.
        arguments: what ``train.py`` is started with.
        code: folder of the code; None where it lies elsewhere and the plan is only looked at.
    """

    model: str
    datasets: Mapping[str, str]
    models: Mapping[str, str]
    configuration: Mapping[str, Any]
    arguments: tuple[str, ...]
    code: Path | None

    @property
    def measurer(self) -> MeasurerName:
        """Ours is the loop around the loop."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The data, and the models that it starts from."""
        return (
            *(Input(role=role, kind="dataset", name=name) for role, name in self.datasets.items()),
            *(Input(role=role, kind="model", name=name) for role, name in self.models.items()),
        )

    @property
    def makes(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)

    def steps(self) -> tuple[str, ...]:
        """What would be run."""
        return (" ".join(["python", SCRIPT, *self.arguments]),)

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Run the code, and say in the statement on what, with what, and what came of it.

        Raises:
            FormatError: there is no code, it fails, or what it leaves is no model.
        """
        if self.code is None:
            raise FormatError("expected the folder of the training code, got none", reason="own-training-code")
        before = code_manifest(self.code)
        with tempfile.TemporaryDirectory(prefix="lamslsa-own-") as folder:
            model_dir = Path(folder) / "model"
            model_dir.mkdir()
            session = own.Session(
                inputs={role: _data(given.artifact) for role, given in inputs.items()},
                configuration=dict(self.configuration),
                model_dir=model_dir,
                tell=lambda done, total: context.progress(_STEPS, done, total),
            )
            context.progress(_RUN, 0, 1)
            modules = run_script(self.code, self.arguments, session)
            context.progress(_RUN, 1, 1)
            output = Output.of("model", read_model(model_dir))
        if code_manifest(self.code).sha256 != before.sha256:
            raise FormatError(
                "expected the training code to be the same after it ran, got another", reason="own-training-code"
            )
        predicate = _provenance(self, inputs, before, output.manifest, modules, session.batches)
        subject = statement.Subject(name=self.model, sha256=output.manifest.sha256)
        payload = statement.make([subject], PREDICATE_TYPE, predicates.to_wire(predicate))
        return Outcome(statements=[Payload(label="provenance", data=payload)], outputs={self.model: output})


def load_own_training(
    data: bytes, source: str, *, code: Path | None = None, arguments: Iterable[str] = ()
) -> OwnTraining:
    """Parse a job file.

    Args:
        data: the bytes of the file.
        source: its name, for messages.
        code: folder of the code, where it is to be run here.
        arguments: what ``train.py`` is started with.

    Raises:
        FormatError: not strict YAML, a key missing or unknown, or no ``train.py`` in the folder.
    """
    root = _yaml.loads(data, source=source).mapping()
    root.take("apiVersion").choice([_API_VERSION])
    root.take("kind").choice(["OwnTraining"])
    model = _name(root.take("model"))
    datasets, models = _roles(root.take("datasets").mapping()), _roles(root.take("models").mapping())
    node = root.take("configuration")
    configuration = node.mapping().plain()
    root.finish()
    if not datasets or set(datasets) & set(models):
        root.refuse("expected at least one dataset, and each role once, got others", reason="job-roles")
    if ARGUMENTS in configuration:
        node.refuse(f"expected no {ARGUMENTS!r} among the parameters, which come from elsewhere", reason="job-roles")
    if code is not None and not (code / SCRIPT).is_file():
        raise FormatError(f"expected {SCRIPT} in {code}, got none", reason="own-training-code")
    return OwnTraining(
        model=model,
        datasets=datasets,
        models=models,
        configuration=configuration,
        arguments=tuple(arguments),
        code=code,
    )


def _roles(node: _yaml.Mapping_) -> dict[str, str]:
    roles: dict[str, str] = {}
    for role, name in node:
        if len(role) > _MAX_NAME or not role.isprintable() or len(roles) >= _MAX_INPUTS:
            name.refuse(f"expected at most {_MAX_INPUTS} printable roles, got {role[:40]!a}", reason="job-name")
        roles[role] = _name(name)
    return roles


def _name(node: _yaml.Node) -> str:
    name = node.string()
    if len(name) > _MAX_NAME or not name.isprintable():
        node.refuse(f"expected at most {_MAX_NAME} printable characters, got {name[:40]!a}", reason="job-name")
    return name


def _data(artifact: VerifiedArtifact) -> own.Data:
    return own.Data(files={entry.path: artifact.file(entry.path).library_path for entry in artifact.manifest.files})


def _provenance(  # noqa: PLR0917 - all of it stands in the statement
    plan: OwnTraining,
    inputs: Mapping[str, Given],
    code: Manifest,
    model: Manifest,
    modules: list[list[str]],
    batches: own.Batches,
) -> Provenance:
    code_identity.cache_clear()  # their code has run
    ours = code_identity()
    surroundings = environment(_distributions(), device=_device())
    lamslsa = Dependency(
        name="lamslsa",
        uri=purl("lamslsa", ours.version),
        digest=Digest(sha256=ours.sha256),
        annotations=DependencyAnnotations(kind="code", installation=ours.installation),
    )
    theirs = Dependency(
        name=CODE, digest=Digest(sha256=code.sha256), annotations=DependencyAnnotations(kind="code", own_code=True)
    )
    packages = [
        Dependency(name=item.name, uri=item.uri, digest=item.digest, annotations=DependencyAnnotations(kind="package"))
        for item in surroundings.packages
        if item.name is not None and item.digest is not None and item.name != "lamslsa"
    ]
    files = [
        Byproduct(name=entry.path, digest=Digest(sha256=entry.sha256), annotations={"kind": "file"})
        for entry in model.files
    ]
    external = ExternalParameters(
        trainer=plan.measurer,
        configuration={**plan.configuration, ARGUMENTS: list(plan.arguments)},
        datasets=dict(plan.datasets),
        models=dict(plan.models),
    )
    return Provenance(
        build_definition=BuildDefinition(
            build_type=OWN_TRAINING_BUILD_TYPE,
            external_parameters=external,
            internal_parameters=InternalParameters(environment=surroundings),
            resolved_dependencies=(
                *_ingredients("dataset", plan.datasets, inputs),
                *_ingredients("model", plan.models, inputs),
                theirs,
                lamslsa,
                *packages,
            ),
        ),
        run_details=RunDetails(
            builder=Builder(id=f"{BUILDER_PREFIX}{ours.version}"),
            byproducts=(
                *files,
                _document("modules", modules),
                _document("batches", {"count": batches.count, "chain": batches.chain.hex()}),
            ),
        ),
    )


def _ingredients(kind: Kind, named_: Mapping[str, str], inputs: Mapping[str, Given]) -> list[Dependency]:
    return [
        Dependency(
            name=name,
            digest=Digest(sha256=inputs[role].artifact.manifest.sha256),
            annotations=DependencyAnnotations(kind=kind, role=role),
        )
        for role, name in named_.items()
    ]


def _document(name: str, value: Any) -> Byproduct:
    return Byproduct(name=name, content=_codec.encode_base64(_codec.dumps(value)), media_type="application/json")


def _device() -> Device:
    """Where their code went, which chooses for itself: a GPU if torch has started one, and the CPU if not."""
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and torch.cuda.is_initialized() else "cpu"


def _distributions() -> list[str]:
    """Every distribution of which a module is loaded; lamslsa always."""
    known = importlib.metadata.packages_distributions()
    tops = {name.partition(".")[0] for name in sys.modules}
    return sorted({"lamslsa", *(found for top in tops for found in known.get(top, ()))})
