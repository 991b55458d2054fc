"""Inside the TEE: measure, make statements, have the TEE vouch for their bytes.

This module and what it imports are the trusted computing base. There is a function per kind of measurement and no way
to have given bytes quoted: that would be a signing oracle, and fresh evidence needs a fresh measurement. What leaves is
bytes; nothing later serialises them again. Every function takes ``memory``, where the verified bytes are kept while
they are used: an enclave build has its own (`lamslsa.artifact.memory`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from lamslsa import _codec
from lamslsa.artifact import Kind, VerifiedArtifact, read_verified
from lamslsa.artifact import Progress as ReadProgress
from lamslsa.artifact.memory import SEALED, Memory
from lamslsa.evidence import Attester, binding
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.measure import (
    Job,
    OwnTraining,
    Progress,
    Trained,
    measure_dataset,
    measure_evaluation,
    measure_own_training,
    measure_training,
)
from lamslsa.predicates.emit import verify_descriptors

__all__ = ["attest_dataset", "attest_evaluation", "attest_own_training", "attest_training"]


def attest_dataset(
    path: Path,
    *,
    name: str,
    job: Job,
    others: Mapping[str, Path],
    attester: Attester,
    progress: Progress,
    nonce: Nonce,
    memory: Memory = SEALED,
) -> Run:
    """Measure a dataset: its datasheet, and its overlap with ``others``, by the names they have in the job.

    Raises:
        FormatError: a dataset or the job is not usable.
        UnavailableError: the TEE does not answer.
    """
    with ExitStack() as stack:
        subject = _read(stack, path, "dataset", progress, memory)
        compared = {other: _read(stack, where, "dataset", progress, memory) for other, where in others.items()}
        payload = measure_dataset(subject, name=name, job=job, others=compared, progress=progress)
    return _quote([("dataset", payload)], attester, nonce)


def attest_training(
    path: Path, *, job: Job, attester: Attester, progress: Progress, nonce: Nonce, memory: Memory = SEALED
) -> tuple[Run, Trained]:
    """Train a model on the dataset at ``path``; the model comes back in memory, to be written before the run is.

    Raises:
        FormatError: the dataset or the job is not usable.
        UnavailableError: the TEE does not answer.
    """
    with ExitStack() as stack:
        dataset = _read(stack, path, "dataset", progress, memory)
        trained = measure_training(dataset, job=job, progress=progress)
    return _quote([("provenance", trained.payload)], attester, nonce), trained


def attest_own_training(
    path: Path,
    *,
    code: Path,
    job: OwnTraining,
    attester: Attester,
    progress: Progress,
    nonce: Nonce,
    memory: Memory = SEALED,
) -> tuple[Run, Trained]:
    """Train with the user's own code on the dataset at ``path``.

    Only where that code is part of what the TEE measures, and where a reference value lets the measurement vouch for
    nothing else: the code shares this process and could have anything quoted.

    Raises:
        FormatError: the dataset or the job is not usable, or the code fails.
        UnavailableError: the TEE does not answer.
    """
    with ExitStack() as stack:
        dataset = _read(stack, path, "dataset", progress, memory)
        trained = measure_own_training(dataset, code=code, job=job)
    return _quote([("provenance", trained.payload)], attester, nonce), trained


def attest_evaluation(
    model: Path,
    *,
    dataset: Path,
    job: Job,
    attester: Attester,
    progress: Progress,
    nonce: Nonce,
    memory: Memory = SEALED,
) -> Run:
    """Measure a model on a dataset.

    Raises:
        FormatError: the model, the dataset or the job is not usable.
        UnavailableError: the TEE does not answer.
    """
    with ExitStack() as stack:
        subject = _read(stack, model, "model", progress, memory)
        data = _read(stack, dataset, "dataset", progress, memory)
        name = model.resolve().name
        payload = measure_evaluation(subject, data, name=name, job=job, progress=progress)
    return _quote([("evaluation", payload)], attester, nonce)


def _read(stack: ExitStack, path: Path, kind: Kind, progress: Progress, memory: Memory) -> VerifiedArtifact:
    return stack.enter_context(read_verified(path, kind, memory=memory, progress=_reading(path, progress)))


def _reading(path: Path, progress: Progress) -> Callable[[ReadProgress], None]:
    return lambda at: progress(f"reading {path.name} (bytes)", at.bytes_done, at.bytes_total)


def _quote(statements: Sequence[tuple[str, bytes]], attester: Attester, nonce: Nonce) -> Run:
    """One quote for all statements of this run; the only place where report data is made."""
    for _, payload in statements:
        verify_descriptors(payload)
    digests = [_codec.sha256_hex(payload) for _, payload in statements]
    devices = attester.device_evidence(binding.device_nonce(nonce.value, statements=digests))
    answers = [_codec.sha256_hex(device.data) for device in devices]
    evidence = attester.quote(binding.report_data(nonce.value, device_evidence=answers, statements=digests))
    return Run(
        statements=tuple(
            NamedPayload(name=f"{number:02d}-{predicate}", payload=payload)
            for number, (predicate, payload) in enumerate(statements, start=1)
        ),
        nonce=nonce,
        evidence=evidence,
        devices=devices,
        quoted_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
