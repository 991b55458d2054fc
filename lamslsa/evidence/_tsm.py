"""Reports through configfs-tsm, the kernel's one interface to the evidence of confidential guests.

A report is an entry, a folder of attributes. Whoever can write to configfs can also write to our entry, and whether a
write to ``inblob`` succeeded is lost as the file is closed: only the count of writes tells that a report is ours.

Rules:
- Each report has an entry of its own, with a name that nobody can guess, removed whatever happens.
- ``inblob`` is written once; what is read lies between two readings of ``generation``, which must differ by the number
  of writes that were ours.
- A race or a busy device is tried again a few times with a new entry, then refused.

Source: Linux 6.7 and later, Documentation/ABI/testing/configfs-tsm-report (until 6.15: configfs-tsm).
"""

from __future__ import annotations

import errno
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence._kernel import Kernel, answering, read_file, write_file

__all__ = ["FOLDER", "MAX_BLOB_BYTES", "Provider", "Report", "request_report"]

FOLDER: Final = "/sys/kernel/config/tsm/report"
MAX_BLOB_BYTES: Final = 64 * 1024
_MAX_ATTRIBUTE_BYTES: Final = 64
_ATTEMPTS: Final = 5
_PAUSE_S: Final = 0.05
_NAMES: Final = 5
_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.ETIMEDOUT})
_GENERATION: Final = re.compile(rb"(0|[1-9][0-9]{0,19})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who has to answer.

    Attributes:
        name: what the attribute ``provider`` says.
        product: what people call it.
        privilege_level: what to write to ``privlevel``; None where the provider has no such attribute.
        has_auxiliary: whether it has the attribute ``auxblob``.
    """

    name: str
    product: str
    privilege_level: int | None = None
    has_auxiliary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the provider answered; ``auxiliary`` is empty where it had nothing to add."""

    outblob: bytes
    auxiliary: bytes


class _Race(Exception):  # noqa: N818 - never leaves this module
    """Something else wrote to our entry."""


def request_report(
    kernel: Kernel, inblob: bytes, *, provider: Provider, pause: Callable[[float], None] = time.sleep
) -> Report:
    """Have the guest's security module report on ``inblob``.

    Raises:
        UnavailableError: there is none, another provider answers, it stays busy, or others keep writing to our entry.
    """
    hint = f"needed are a {provider.product} guest, Linux 6.7 or later, configfs and the right to write to {FOLDER}"
    with answering(f"{provider.product} through configfs-tsm", hint=hint):
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _once(kernel, inblob, provider)
            except OSError as err:
                if err.errno not in _BUSY or attempt == _ATTEMPTS:
                    raise
            except _Race as err:
                if attempt == _ATTEMPTS:
                    raise UnavailableError(
                        f"expected one undisturbed report in {_ATTEMPTS} attempts, got other writers each time",
                        reason="evidence-race",
                        hint=f"find out what else in this guest writes to {FOLDER}",
                    ) from err
            pause(_PAUSE_S * attempt)
    raise AssertionError("the last attempt returns or raises")


def _once(kernel: Kernel, inblob: bytes, provider: Provider) -> Report:
    """One entry, one report.

    1. Make an entry.
    2. Read its generation.
    3. Write the privilege level where there is one, then ``inblob``, once.
    4. Read the report, who made it and what came with it.
    5. Read the generation again: it grew by our own writes.
    6. Remove the entry, whatever happened.
    """
    entry = _make_entry(kernel)  # (1)
    try:
        before = _generation(kernel, entry)  # (2)
        writes = 1
        if provider.privilege_level is not None:
            _write_privilege_level(kernel, entry, provider.privilege_level)  # (3)
            writes += 1
        write_file(kernel, f"{entry}/inblob", inblob)
        outblob = read_file(kernel, f"{entry}/outblob", limit=MAX_BLOB_BYTES)  # (4)
        _refuse_other(read_file(kernel, f"{entry}/provider", limit=_MAX_ATTRIBUTE_BYTES), provider)
        auxiliary = read_file(kernel, f"{entry}/auxblob", limit=MAX_BLOB_BYTES) if provider.has_auxiliary else b""
        if _generation(kernel, entry) != before + writes:  # (5)
            raise _Race
    finally:
        with suppress(OSError):  # an entry that stays costs memory, not the truth of the report
            kernel.rmdir(entry)  # (6)
    return Report(outblob=outblob, auxiliary=auxiliary)


def _make_entry(kernel: Kernel) -> str:
    names = [f"{FOLDER}/lamslsa-{secrets.token_hex(8)}" for _ in range(_NAMES)]
    for entry in names:
        try:
            kernel.mkdir(entry)
        except FileExistsError:
            if entry == names[-1]:
                raise
        else:
            return entry
    raise AssertionError("the last name is made or raises")


def _generation(kernel: Kernel, entry: str) -> int:
    text = read_file(kernel, f"{entry}/generation", limit=_MAX_ATTRIBUTE_BYTES)
    if not _GENERATION.fullmatch(text):
        raise FormatError(f"expected the number of a generation, got {text!r}", reason="tsm-generation")
    return int(text)


def _write_privilege_level(kernel: Kernel, entry: str, level: int) -> None:
    try:
        write_file(kernel, f"{entry}/privlevel", str(level).encode("ascii"))
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        raise UnavailableError(
            f"expected a guest at privilege level {level}, got one that may not ask for it",
            reason="tee-privilege-level",
            hint="something else, such as a cloud's paravisor, holds the guest's most privileged level: "
            "its reports say nothing about the system above it",
        ) from err


def _refuse_other(found: bytes, provider: Provider) -> None:
    if found != provider.name.encode("ascii") + b"\n":
        raise UnavailableError(
            f"expected the provider {provider.name}, got {found!r}",
            reason="tee-provider",
            hint="lamslsa tee says which TEE this machine offers",
        )
