"""The job: all that the host tells an enclave, in one strict JSON document of fixed shape.

    {"kind": "evaluation", "tee": "sgx", "name": null,
     "inputs": {"model": "model", "dataset": "adult.test"}, "others": {}, "nonce": null, "beacon": false, "gpu": false}

Rules:
- The enclave reads from and writes to fixed places; the job names no path. What it names is the base name that an input
  has in its place, since a single file's name is part of its identity.
- The kind of TEE is asked for by name; simulation is never what remains when there is no other.
- A job can choose what is measured. It cannot choose how: that is in the configuration, which stands in the statement.

>>> Job.parse(b'{"kind":"training","tee":"sgx","name":null,"inputs":{"dataset":"adult.data"},"others":{},'
...           b'"nonce":null,"beacon":false,"gpu":false}').place("dataset").as_posix()
'data/dataset/adult.data'
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal, NoReturn, Self, TypeGuard, get_args

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence.nonce import Nonce

__all__ = [
    "BEACON",
    "CODE",
    "CONFIG",
    "ERROR",
    "GUESTS",
    "INPUTS",
    "JOB",
    "MODEL",
    "OUT",
    "PLATFORM",
    "RUN",
    "SCRATCH",
    "Job",
    "Kind",
    "TeeName",
]

Kind = Literal["dataset", "training", "evaluation"]
TeeName = Literal["sgx", "tdx", "snp", "simulated"]

# Where things are, relative to the root of the enclave's file system, and to the working directory on the host.
JOB: Final = PurePosixPath("job/job.json")
CONFIG: Final = PurePosixPath("job/config.yaml")
BEACON: Final = PurePosixPath("job/beacon")
PLATFORM: Final = PurePosixPath("job/platform")
OUT: Final = PurePosixPath("out")
RUN: Final = OUT / "run"
MODEL: Final = OUT / "model"
ERROR: Final = OUT / "error.json"
SCRATCH: Final = PurePosixPath("run/lamslsa")
CODE: Final = PurePosixPath("code")

INPUTS: Final[Mapping[Kind, frozenset[str]]] = {
    "dataset": frozenset({"dataset"}),
    "training": frozenset({"dataset"}),
    "evaluation": frozenset({"model", "dataset"}),
}
GUESTS: Final = ("tdx", "snp")
_KEYS: Final = frozenset({"kind", "tee", "name", "inputs", "others", "nonce", "beacon", "gpu"})
_MAX_OTHERS: Final = 64
_MAX_NAME_BYTES: Final = 255
_MAX_JOB_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One measurement.

    Attributes:
        name: name of the dataset in the configuration; only where a dataset is measured.
        inputs: role (``dataset``, ``model``) to the base name that the input has in its place.
        others: the datasets that one is compared with, by their names in the configuration, to base names.
        challenge: nonce that the relying party chose.
        with_beacon: the nonce is the digest of the file ``job/beacon``.
        gpu: have the GPUs of a confidential guest answer too.
    """

    kind: Kind
    tee: TeeName
    name: str | None
    inputs: Mapping[str, str]
    others: Mapping[str, str]
    challenge: bytes | None = None
    with_beacon: bool = False
    gpu: bool = False

    def __post_init__(self) -> None:
        if set(self.inputs) != INPUTS[self.kind]:
            _refuse(f"the inputs {', '.join(sorted(INPUTS[self.kind]))}", ", ".join(sorted(self.inputs)) or "none")
        if (self.name is None) == (self.kind == "dataset"):
            _refuse("a name where a dataset is measured, and only there", repr(self.name)[:80])
        if self.others and self.kind != "dataset":
            _refuse("other datasets only where a dataset is measured", f"{len(self.others)}")
        if len(self.others) > _MAX_OTHERS:
            _refuse(f"at most {_MAX_OTHERS} other datasets", f"{len(self.others)}")
        for base in (*self.inputs.values(), *self.others.values()):
            if not _is_base_name(base):
                _refuse("the base name of an input", f"{base!a:.80}")
        if self.gpu and self.tee not in GUESTS:
            _refuse(f"a GPU with {' or '.join(GUESTS)}", self.tee)
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
        kind, tee, name, beacon, gpu = (document[key] for key in ("kind", "tee", "name", "beacon", "gpu"))
        if kind not in get_args(Kind):
            _refuse(f"one of {', '.join(get_args(Kind))} as kind", f"{kind!a:.80}")
        if tee not in get_args(TeeName):
            _refuse(f"one of {', '.join(get_args(TeeName))} as tee", f"{tee!a:.80}")
        if not (name is None or isinstance(name, str)):
            _refuse("a string or null as name", f"{name!a:.80}")
        if not (isinstance(beacon, bool) and isinstance(gpu, bool)):
            _refuse("true or false as beacon and gpu", f"{beacon!a:.80} and {gpu!a:.80}")
        return cls(
            kind=kind,
            tee=tee,
            name=name,
            inputs=_strings(document["inputs"], "inputs"),
            others=_strings(document["others"], "others"),
            challenge=_challenge(document["nonce"]),
            with_beacon=beacon,
            gpu=gpu,
        )

    def dumps(self) -> bytes:
        """The bytes that `parse` reads."""
        return _codec.dumps(
            {
                "kind": self.kind,
                "tee": self.tee,
                "name": self.name,
                "inputs": dict(self.inputs),
                "others": dict(self.others),
                "nonce": None if self.challenge is None else _codec.encode_base64(self.challenge),
                "beacon": self.with_beacon,
                "gpu": self.gpu,
            }
        )

    def place(self, role: str) -> PurePosixPath:
        """Where an input lies."""
        return PurePosixPath("data", role, self.inputs[role])

    def other_places(self) -> dict[str, PurePosixPath]:
        """Where the other datasets lie, by their names in the configuration."""
        return {
            name: PurePosixPath("data", "others", str(position), base)
            for position, (name, base) in enumerate(self.others.items())
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


def _is_base_name(name: str) -> bool:
    return (
        0 < len(name.encode("utf-8", "surrogatepass")) <= _MAX_NAME_BYTES
        and name not in (".", "..")
        and "/" not in name
        and name.isprintable()
        and unicodedata.is_normalized("NFC", name)
    )
