"""Measurer ``inference/1``: what a model answers to each row of a dataset, as one Merkle tree of records.

    inference: {measurer: inference/1, dataset: <name>, disclose: {inputs: false, outputs: true}, seed: null}

- A record is a leaf of the tree: the position of the row, its input and its output, each disclosed or as a salted hash
  (`lamslsa.predicates.inference`). The salts are random, so two statements about the same inferences differ.
- What opens a record is a receipt (`lamslsa.receipts`), one line each of ``receipts.jsonl``, which goes to whoever
  ordered the inference and to nobody else.
- The input is what the model was told: the features of the row by name, missing ones null. The label is no part of it.
- The models of this version draw nothing: ``seed`` is null, and stands there for those that will.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lamslsa import _codec, _yaml, predicates, statement
from lamslsa._merkle import MAX_LEAVES, Tree, leaf_hash
from lamslsa.errors import FormatError
from lamslsa.measure import rates
from lamslsa.measure.declarations import DatasetJob, Scope
from lamslsa.measure.environment import environment
from lamslsa.measure.inference.inputs import Told, read_told
from lamslsa.measure.interface import Context, Given, Input, MeasurerName, Outcome, Payload, Plan, named
from lamslsa.measure.models.determinism import one_thread
from lamslsa.measure.models.loading import load_model
from lamslsa.measure.models.predict import BATCH_ROWS, predict
from lamslsa.predicates import inference as wire
from lamslsa.predicates._common import DatasetReference, Digest, File
from lamslsa.predicates.evaluation import ModelDescription

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NAME", "RECEIPTS", "BatchInference", "declare"]

NAME: Final = "inference/1"
RECEIPTS: Final = "receipts.jsonl"
_PACKAGES: Final = ("lamslsa", "numpy", "torch")
_SALT_BYTES: Final = 32
_RECORD_S: Final = 0.1e-3  # made and hashed, measured on UCI Adult


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInference:
    """The plan of an inference.

    Attributes:
        dataset: whose rows the model is asked about.
        disclose_inputs: whether the records say them; else their salted hashes.
        disclose_outputs: the same of the answers.
    """

    dataset: DatasetJob
    disclose_inputs: bool
    disclose_outputs: bool

    @property
    def measurer(self) -> MeasurerName:
        """Ours."""
        return named(NAME)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model and the rows that it is asked about."""
        return (
            Input(role="model", kind="model"),
            Input(role="dataset", kind="dataset", name=self.dataset.name),
        )

    @property
    def makes_private(self) -> bool:
        """Receipts, always."""
        return True

    def steps(self) -> tuple[str, ...]:
        """What would be asked, and what would be disclosed."""
        told = [name for name, yes in (("inputs", self.disclose_inputs), ("outputs", self.disclose_outputs)) if yes]
        return (f"answers to every row of {self.dataset.name}, {' and '.join(told) or 'nothing'} disclosed",)

    def configuration(self) -> dict[str, Any]:
        """The parameters as they stand in the statement."""
        return {
            "rows": "all",
            "batchRows": BATCH_ROWS,
            "disclose": {"inputs": self.disclose_inputs, "outputs": self.disclose_outputs},
            "seed": None,
        }

    def estimate(self, sizes: Mapping[str, int]) -> float:
        """See `lamslsa.measure.foresight`."""
        schema, size = self.dataset.schema, sizes["dataset"]
        records = rates.rows(schema, size) * _RECORD_S
        return rates.LOADING["torch"] + rates.asking(schema, size, models=[sizes["model"]]) + records

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Ask the model; see `lamslsa.measure.interface.Plan`."""
        model, data = inputs["model"], inputs["dataset"]
        with one_thread(device=context.device):
            loaded = load_model(model.artifact, device=context.device)
            told = read_told(loaded, data.artifact, self.dataset)
            _refuse_many(told)
            scores = predict(loaded, told.inputs, context)
            packages = {*_PACKAGES, *loaded.packages, *self.dataset.schema.packages}
            surroundings = environment(sorted(packages), device=context.device if loaded.network is not None else "cpu")
        records, openings = self._records(told, scores)
        leaves = [leaf_hash(wire.record_leaf(record)) for record in records]
        tree = Tree(leaves)
        configuration = self.configuration()
        predicate = wire.Inference(
            kind="model",
            measurer=self.measurer,
            model=ModelDescription(
                architecture=loaded.architecture,
                files=tuple(
                    File(path=entry.path, digest=Digest(sha256=entry.sha256), size=entry.size)
                    for entry in model.artifact.manifest.files
                ),
            ),
            dataset=DatasetReference(
                name=self.dataset.name,
                digest=Digest(sha256=data.artifact.manifest.sha256),
                schema_digest=Digest(sha256=self.dataset.schema.sha256),
            ),
            configuration=configuration,
            configuration_digest=Digest(sha256=predicates.configuration_digest(configuration)),
            records=wire.Tree(algorithm="rfc9162-sha256", size=len(leaves), root=Digest(sha256=tree.root.hex())),
            record=records[0] if len(records) == 1 else None,
            environment=surroundings,
        )
        subject = statement.Subject(name=model.name, sha256=model.artifact.manifest.sha256)
        payload = statement.make([subject], wire.PREDICATE_TYPE, predicates.to_wire(predicate))
        receipts = b"".join(_receipts(payload, tree, records, openings))
        return Outcome(statements=[Payload(label="inference", data=payload)], private={RECEIPTS: receipts})

    def _records(
        self, told: Told, scores: np.ndarray[Any, Any]
    ) -> tuple[list[wire.Record], list[dict[str, dict[str, Any]]]]:
        """Every record, and what opens those of its sides that are not disclosed."""
        records, openings = [], []
        for index, (value, answer) in enumerate(zip(told.values, scores.tolist(), strict=True)):
            asked, opens_input = _side(value, disclosed=self.disclose_inputs)
            answered, opens_output = _side(_said(answer, told.says), disclosed=self.disclose_outputs)
            records.append(wire.Record(index=index, input=asked, output=answered))
            openings.append({**_named("input", opens_input), **_named("output", opens_output)})
        return records, openings


def _refuse_many(told: Told) -> None:
    if len(told.values) > MAX_LEAVES:
        raise FormatError(
            f"expected at most {MAX_LEAVES} inferences, got {len(told.values)}",
            reason="inference-size",
            hint="ask about the rows in several runs",
        )


def _side(value: Any, *, disclosed: bool) -> tuple[wire.Side, dict[str, Any] | None]:
    if disclosed:
        return wire.Side(value=value), None
    salt = secrets.token_bytes(_SALT_BYTES)
    return wire.Side(commitment=wire.commitment(salt, value)), {"salt": _codec.encode_base64(salt), "value": value}


def _named(name: str, opening: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    return {} if opening is None else {name: opening}


def _said(answer: Any, says: str) -> dict[str, Any]:
    """What the model said about one example, by what it says at all: a probability, several, or a number."""
    return {says: answer}


def _receipts(
    payload: bytes, tree: Tree, records: list[wire.Record], openings: list[dict[str, dict[str, Any]]]
) -> Iterator[bytes]:
    digest = _codec.sha256_hex(payload)
    for record, opening in zip(records, openings, strict=True):
        yield (
            _codec.canonical_with_fractions(
                {
                    "type": wire.RECEIPT_TYPE,
                    "statement": {"sha256": digest},
                    "treeSize": len(records),
                    "record": predicates.to_wire(record),
                    "path": [item.hex() for item in tree.path(record.index)],
                    "openings": opening,
                }
            )
            + b"\n"
        )


def declare(node: _yaml.Mapping_, scope: Scope) -> Plan:
    """The plan that a job file declares."""
    dataset = scope.dataset(node.take("dataset"))
    disclose = node.take("disclose").mapping()
    plan = BatchInference(
        dataset=dataset,
        disclose_inputs=disclose.take("inputs").boolean(),
        disclose_outputs=disclose.take("outputs").boolean(),
    )
    disclose.finish()
    seed = node.take("seed")
    if seed.plain() is not None:
        seed.refuse("expected null: models of this version draw nothing, got a seed", reason="inference-seed")
    return plan
