"""The job: all that the host tells an enclave, in one strict JSON document of fixed shape.

    {"kind": "evaluation", "tee": "sgx", "name": null, "inputs": {"model": "model", "dataset": "adult.test"},
     "nonce": null, "beacon": false, "gpu": false, "device": "cpu", "checkpoints": false, "memoryLimit": 8589934592,
     "spool": false, "arguments": [], "plan": null}

Rules:
- The enclave reads from and writes to fixed places; the job names no path. What it names is the base name that an input
  has in its place, since a single file's name is part of its identity. Places are numbered, in the order of the words
  under which the inputs are given.
- The kind of TEE is asked for by name; simulation is never what remains when there is no other.
- A job can choose what is measured. It cannot choose how: that is in the configuration, which stands in the statement;
  so do the arguments of a user's own training, which no other job has.
- The plan that an evaluation carries out is a digest and nothing else: it ends up in the statement and nowhere else.
  Whether there is such a plan, of this evaluation and from before it, is for the verifier.

>>> job = Job.parse(b'{"kind":"training","tee":"sgx","name":null,"inputs":{"train":"adult.data"},"nonce":null,'
...                 b'"beacon":false,"gpu":false,"device":"cpu","checkpoints":false,"memoryLimit":8589934592,'
...                 b'"spool":false,"arguments":[],"plan":null}')
>>> job.places()["train"].as_posix()
'data/inputs/0/adult.data'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal, NoReturn, Self, TypeGuard, get_args

from lamslsa import _codec
from lamslsa.artifact.reader import DEFAULT_MAX_BYTES
from lamslsa.errors import FormatError
from lamslsa.evidence.nonce import Nonce
from lamslsa.measure.interface import Device, Stage

__all__ = [
    "BEACON",
    "CHECKPOINTS",
    "CODE",
    "CONFIG",
    "ERROR",
    "GUESTS",
    "JOB",
    "MADE",
    "OUT",
    "OUTPUTS",
    "PLATFORM",
    "PRIVATE",
    "RUN",
    "SCRATCH",
    "SPOOL",
    "Job",
    "Kind",
    "TeeName",
    "is_base_name",
]

Kind = Stage
TeeName = Literal["sgx", "tdx", "snp", "simulated"]

# Where things are, relative to the root of the enclave's file system, and to the working directory on the host.
JOB: Final = PurePosixPath("job/job.json")
CONFIG: Final = PurePosixPath("job/config.yaml")
BEACON: Final = PurePosixPath("job/beacon")
PLATFORM: Final = PurePosixPath("job/platform")
CHECKPOINTS: Final = PurePosixPath("data/checkpoints")
OUT: Final = PurePosixPath("out")
RUN: Final = OUT / "run"
OUTPUTS: Final = OUT / "outputs"
PRIVATE: Final = OUT / "private"
MADE: Final = OUT / "made.json"
ERROR: Final = OUT / "error.json"
SPOOL: Final = OUT / "spool"
SCRATCH: Final = PurePosixPath("run/lamslsa")
CODE: Final = PurePosixPath("code")

GUESTS: Final = ("tdx", "snp")
_NAMED: Final = ("dataset", "transform")
_INPUTS: Final = PurePosixPath("data/inputs")
_KEYS: Final = frozenset(
    {"kind", "tee", "name", "inputs", "nonce", "beacon", "gpu", "device", "checkpoints", "memoryLimit", "spool"}
    | {"arguments", "plan"}
)
_MAX_INPUTS: Final = 128
_MAX_WORD: Final = 256
_MAX_ARGUMENTS: Final = 256
_MAX_ARGUMENT: Final = 4096
_MAX_NAME_BYTES: Final = 255
_MAX_JOB_BYTES: Final = 64 * 1024
_MAX_MEMORY: Final = 1024**5
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One measurement.

    Attributes:
        name: of the dataset, transform or evaluation in the configuration; of evaluations None means all.
        inputs: role, or name in the configuration, to the base name that the input has in its place.
        challenge: nonce that the relying party chose.
        with_beacon: the nonce is the digest of the file ``job/beacon``.
        gpu: have the GPUs of a confidential guest answer too.
        device: where tensors live.
        checkpoints: keep sealed checkpoints in ``data/checkpoints``.
        memory_limit: the most bytes that an input may have in memory.
        spool: keep what is larger, encrypted, in ``out/spool``, or in ``out`` itself where that is a guest's own disk.
        arguments: what a user's own training is started with.
        plan: SHA-256 of the statement of the plan that an evaluation carries out, hexadecimal; None for none.
    """

    kind: Kind
    tee: TeeName
    name: str | None
    inputs: Mapping[str, str]
    challenge: bytes | None = None
    with_beacon: bool = False
    gpu: bool = False
    device: Device = "cpu"
    checkpoints: bool = False
    memory_limit: int = DEFAULT_MAX_BYTES
    spool: bool = False
    arguments: tuple[str, ...] = ()
    plan: str | None = None

    def __post_init__(self) -> None:
        if (self.name is None) == (self.kind in _NAMED) and self.kind != "evaluation":
            _refuse(f"a name for a {' or '.join(_NAMED)}, and not for another kind", f"{self.name!a:.80}")
        _refuse_inputs(self.inputs)
        if self.gpu and self.tee not in GUESTS:
            _refuse(f"a GPU with {' or '.join(GUESTS)}", self.tee)
        if self.device == "cuda" and self.tee == "sgx":
            _refuse("the device cpu in an SGX enclave", self.device)
        if not 0 < self.memory_limit <= _MAX_MEMORY:
            _refuse("a number of bytes as memoryLimit", f"{self.memory_limit}")
        if self.arguments and self.kind != "training":
            _refuse("arguments with a training only", f"{len(self.arguments)}")
        if len(self.arguments) > _MAX_ARGUMENTS or any(len(item) > _MAX_ARGUMENT for item in self.arguments):
            _refuse(f"at most {_MAX_ARGUMENTS} arguments of {_MAX_ARGUMENT} characters", "more")
        if self.plan is not None and (self.kind != "evaluation" or not _SHA256.fullmatch(self.plan)):
            _refuse("a SHA-256 as the plan of an evaluation", f"{self.plan!a:.80}")
        if self.challenge is not None:
            if self.with_beacon:
                _refuse("a challenge or a beacon", "both")
            Nonce.of_challenge(self.challenge)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a job file.

        Raises:
            FormatError: not strict JSON, a field missing, unknown or of another type, or a value out of range.
        """
        document = _codec.loads(data, max_bytes=_MAX_JOB_BYTES)
        if not isinstance(document, dict) or set(document) != _KEYS:
            _refuse(f"an object with the keys {', '.join(sorted(_KEYS))}", "something else")
        for key, options in (("kind", get_args(Kind)), ("tee", get_args(TeeName)), ("device", get_args(Device))):
            if document[key] not in options:
                _refuse(f"one of {', '.join(options)} as {key}", f"{document[key]!a:.80}")
        for key in ("beacon", "gpu", "checkpoints", "spool"):
            if not isinstance(document[key], bool):
                _refuse(f"true or false as {key}", f"{document[key]!a:.80}")
        if type(document["memoryLimit"]) is not int:
            _refuse("a number of bytes as memoryLimit", f"{document['memoryLimit']!a:.80}")
        for key in ("name", "plan"):
            if not (document[key] is None or isinstance(document[key], str)):
                _refuse(f"a string or null as {key}", f"{document[key]!a:.80}")
        arguments = document["arguments"]
        if not isinstance(arguments, list) or not all(isinstance(item, str) for item in arguments):
            _refuse("a list of strings as arguments", f"{arguments!a:.80}")
        return cls(
            kind=document["kind"],
            tee=document["tee"],
            name=document["name"],
            inputs=_strings(document["inputs"], "inputs"),
            challenge=_challenge(document["nonce"]),
            with_beacon=document["beacon"],
            gpu=document["gpu"],
            device=document["device"],
            checkpoints=document["checkpoints"],
            memory_limit=document["memoryLimit"],
            spool=document["spool"],
            arguments=tuple(arguments),
            plan=document["plan"],
        )

    def dumps(self) -> bytes:
        """The bytes that `parse` reads."""
        return _codec.dumps(
            {
                "kind": self.kind,
                "tee": self.tee,
                "name": self.name,
                "inputs": dict(self.inputs),
                "nonce": None if self.challenge is None else _codec.encode_base64(self.challenge),
                "beacon": self.with_beacon,
                "gpu": self.gpu,
                "device": self.device,
                "checkpoints": self.checkpoints,
                "memoryLimit": self.memory_limit,
                "spool": self.spool,
                "arguments": list(self.arguments),
                "plan": self.plan,
            }
        )

    def places(self) -> dict[str, PurePosixPath]:
        """Where the inputs lie, by the words under which they are given."""
        return {
            word: _INPUTS / str(position) / base for position, (word, base) in enumerate(sorted(self.inputs.items()))
        }

    def nonce(self, beacon: bytes | None) -> Nonce:
        """The nonce that this job asks for, drawn by chance where it asks for none.

        Args:
            beacon: the content of ``job/beacon``; only where the job has one.

        Raises:
            FormatError: a beacon is missing, superfluous or too large.
        """
        if self.with_beacon != (beacon is not None):
            _refuse("a beacon where the job says so, and only there", "the opposite")
        if beacon is not None:
            return Nonce.of_beacon(beacon)
        return Nonce.random() if self.challenge is None else Nonce.of_challenge(self.challenge)


def _refuse(expected: str, got: str) -> NoReturn:
    raise FormatError(f"expected {expected} in the job of an enclave, got {got}", reason="enclave-job")


def _refuse_inputs(inputs: Mapping[str, str]) -> None:
    if not 0 < len(inputs) <= _MAX_INPUTS:
        _refuse(f"1 to {_MAX_INPUTS} inputs", f"{len(inputs)}")
    for word, base in inputs.items():
        if not (0 < len(word) <= _MAX_WORD and word.isprintable()):
            _refuse("a role or name of an input", f"{word!a:.80}")
        if not is_base_name(base):
            _refuse("the base name of an input", f"{base!a:.80}")


def _strings(value: Any, what: str) -> dict[str, str]:
    if not _is_strings(value):
        _refuse(f"an object of strings as {what}", f"{value!a:.80}")
    return value


def _is_strings(value: Any) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _challenge(value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str):
        _refuse("base64 or null as nonce", f"{value!a:.80}")
    return _codec.decode_base64(value, what="nonce", max_bytes=64)


def is_base_name(name: str) -> bool:
    """Whether a text can be the name of one file, and lead nowhere else."""
    return (
        0 < len(name.encode("utf-8", "surrogatepass")) <= _MAX_NAME_BYTES
        and name not in (".", "..")
        and "/" not in name
        and name.isprintable()
        and unicodedata.is_normalized("NFC", name)
    )
