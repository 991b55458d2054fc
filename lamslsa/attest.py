"""Inside the TEE: measure, make statements, have the TEE vouch for their bytes.

This module and what it imports are the trusted computing base. What is quoted are the statements of plans that were run
in here, and there is no way to have given bytes quoted: that would be a signing oracle, and fresh evidence needs a
fresh measurement. What leaves is bytes; nothing later serialises them again.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lamslsa import _codec
from lamslsa.artifact import Kind, VerifiedArtifact, read_verified
from lamslsa.artifact import Progress as ReadProgress
from lamslsa.errors import FormatError
from lamslsa.evidence import Attester, binding
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.measure import Context, Given, Input, Output, Plan, Progress
from lamslsa.measure.interface import Checkpoints, Payload, refuse_roles
from lamslsa.predicates.emit import verify_descriptors

__all__ = ["Made", "Planned", "attest", "place", "read_inputs", "sealed_checkpoints", "streamed_only"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and where each of its inputs lies.

    Attributes:
        paths: role to path.
    """

    plan: Plan
    paths: Mapping[str, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What measurements made beside their statements, in memory: to be written before the run is.

    Attributes:
        outputs: artifacts by the names that the job gives them.
        private: files for whoever ordered the measurement alone.
    """

    outputs: Mapping[str, Output]
    private: Mapping[str, bytes]


def attest(
    planned: Sequence[Planned], *, attester: Attester, nonce: Nonce, context: Context | None = None
) -> tuple[Run, Made]:
    """Run plans on verified bytes, and have the TEE vouch for all of their statements with one quote.

    Outputs and private files of several plans have different names, or nothing is quoted. A job is asked for one
    dataset at a time, so two datasheets, whose openings have the same name, meet here only if a caller wants it.

    Raises:
        FormatError: an input is not usable, or a role is missing or unknown.
        UnavailableError: the TEE does not answer, or a package or device is missing.
    """
    surroundings = context or Context()
    statements: list[Payload] = []
    outputs: dict[str, Output] = {}
    private: dict[str, bytes] = {}
    with ExitStack() as stack:
        inputs = _Inputs(stack, surroundings, planned)
        for item in planned:
            outcome = item.plan.measure(inputs.of(item), surroundings)
            statements += outcome.statements
            _merge(outputs, outcome.outputs)
            _merge(private, outcome.private)
    return _quote(statements, attester, nonce), Made(outputs=outputs, private=private)


@contextmanager
def read_inputs(planned: Planned, context: Context) -> Iterator[dict[str, Given]]:
    """The verified inputs of one plan, by role, to the end of the block: to run it where nobody vouches for it.

    Raises:
        FormatError: an input is not usable, or a role is missing or unknown.
    """
    with ExitStack() as stack:
        yield _Inputs(stack, context, [planned]).of(planned)


def place(plans: Iterable[Plan], given: Mapping[str, Path]) -> list[Planned]:
    """Say where the inputs of plans lie: each is found under its role, or else under the name that the job has for it.

    Raises:
        FormatError: a plan lacks an input that it needs, or nothing that is given for some word is read by any plan.
    """
    placed = []
    unread = set(given)
    for plan in plans:
        words = _words(plan.inputs, given)
        refuse_roles(plan, words)
        placed.append(Planned(plan=plan, paths={role: given[word] for role, word in words.items()}))
        unread -= set(words.values())
    if unread:
        known = {word for item in placed for wanted in item.plan.inputs for word in (wanted.role, wanted.name) if word}
        raise FormatError(
            f"expected only inputs that the job names, each under one word, got {min(unread)!a:.80}",
            reason="measure-input",
            hint=f"the job reads {', '.join(sorted(known))}",
        )
    return placed


def streamed_only(planned: Iterable[Planned]) -> frozenset[Path]:
    """The paths that every plan reads block by block, wherever it reads them: these may be larger than memory."""
    reads = {
        (path, wanted.streamed)
        for item in planned
        for wanted in item.plan.inputs
        if (path := item.paths.get(wanted.role)) is not None
    }
    return frozenset(path for path, streamed in reads if streamed and (path, False) not in reads)


def _words(inputs: Sequence[Input], given: Collection[str]) -> dict[str, str]:
    """Role to the word under which it is given; a word that is a role of the plan is not taken as a name as well.

    What is given as a dataset or model without a role is the only one that the plan reads.
    """
    roles = {item.role for item in inputs}
    kinds = Counter(item.kind for item in inputs)
    words: dict[str, str] = {}
    for item in inputs:
        name = item.name if item.name not in roles else None
        kind = item.kind if kinds[item.kind] == 1 and item.kind not in roles else None
        found = next((word for word in (item.role, name, kind) if word is not None and word in given), None)
        if found is not None:
            words[item.role] = found
    return words


class _Inputs:
    """Reads each artifact once, however many plans name it; into the spool only if all of them read block by block."""

    def __init__(self, stack: ExitStack, context: Context, planned: Sequence[Planned]) -> None:
        self._stack = stack
        self._context = context
        self._streamed = streamed_only(planned)
        self._read: dict[tuple[Path, Kind], VerifiedArtifact] = {}

    def of(self, planned: Planned) -> dict[str, Given]:
        refuse_roles(planned.plan, planned.paths)
        wanted = {item.role: item for item in planned.plan.inputs}
        return {role: self._given(wanted[role], path) for role, path in planned.paths.items()}

    def _given(self, wanted: Input, path: Path) -> Given:
        key = (path, wanted.kind)
        if key not in self._read:
            self._read[key] = self._stack.enter_context(self._opened(path, wanted.kind))
        return Given(artifact=self._read[key], name=wanted.name or path.resolve().name)

    def _opened(self, path: Path, kind: Kind) -> AbstractContextManager[VerifiedArtifact]:
        context, streamed = self._context, path in self._streamed
        return read_verified(
            path,
            kind,
            max_bytes=context.memory_limit,
            memory=context.memory,
            spool=context.spool if streamed else None,
            streamed=streamed,
            progress=_reading(path, context.progress),
        )


def _merge(into: dict[str, T], more: Mapping[str, T]) -> None:
    for name, value in more.items():
        if name in into:
            raise FormatError(f"expected outputs of different names, got {name!a:.80} twice", reason="attest-output")
        into[name] = value


def sealed_checkpoints(folder: Path, *, tee: str, simulated_platform: Path, beside: bytes = b"") -> Checkpoints:
    """Checkpoints on the host's disk, sealed with the key of the TEE.

    Args:
        folder: on the host.
        tee: what the attester calls itself.
        simulated_platform: folder of the simulated platforms.
        beside: digest of other code in this process, on a simulated platform.

    Raises:
        UnavailableError: this TEE has no sealing key (`lamslsa.evidence.sealing`).
    """
    from lamslsa.evidence.sealing import CHECKPOINTS, sealing_key
    from lamslsa.evidence.simulated.measurement import package_digest
    from lamslsa.measure.checkpoints import SealedFolder

    code = functools.partial(package_digest, beside=beside)
    key = sealing_key(tee, purpose=CHECKPOINTS, simulated_platform=simulated_platform, code=code)
    return SealedFolder(folder, key=key)


def _reading(path: Path, progress: Progress) -> Callable[[ReadProgress], None]:
    return lambda at: progress(f"reading {path.name} (bytes)", at.bytes_done, at.bytes_total)


def _quote(statements: Sequence[Payload], attester: Attester, nonce: Nonce) -> Run:
    """One quote for all statements of this run; the only place where report data is made."""
    for item in statements:
        verify_descriptors(item.data)
    digests = [_codec.sha256_hex(item.data) for item in statements]
    devices = attester.device_evidence(binding.device_nonce(nonce.value, statements=digests))
    answers = [_codec.sha256_hex(device.data) for device in devices]
    evidence = attester.quote(binding.report_data(nonce.value, device_evidence=answers, statements=digests))
    return Run(
        statements=tuple(
            NamedPayload(name=f"{number:02d}-{item.label}", payload=item.data)
            for number, item in enumerate(statements, start=1)
        ),
        nonce=nonce,
        evidence=evidence,
        devices=devices,
        quoted_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
