"""Measurers of third parties: the entry points of one installed distribution, asked for by its name.

    [project.entry-points."lamslsa.measurers"]
    toxicity = "acme_toxicity:MEASURER"        # a Measurer, or something to be called for one

Rules:
- None is ever loaded by itself. What is loaded shares the process with everything that vouches and could forge what it
  says, so it runs only where its files are part of what the TEE measures: the enclave build ``measure-with``, a guest
  image, or a simulated platform, which measures them too (threat model, attester 3). The reference value of such a
  build vouches for these measurers and for nothing else.
- Every statement says whose code measured. We put that in, after the measurer is done: what a measurer says of itself
  counts only as far as it agrees with the distribution that it was loaded from.
- A third party's measurer takes no name of ours, and evaluates or describes models. It makes no datasheet, training or
  transform: of a provenance a reference value says the build type and not whose code it was.
- Files are those of RECORD; one that differs from it is refused, and so is code beside them that it does not list, byte
  code and links: it is imported from its sources alone. What it imports from other distributions is no part of this.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn, cast

from lamslsa import _codec, predicates, statement
from lamslsa._yaml import Mapping_
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError, LamslsaError, UnavailableError, VerificationError
from lamslsa.measure.declarations import Scope
from lamslsa.measure.environment import purl
from lamslsa.measure.interface import Context, Given, Input, Measurer, MeasurerName, Outcome, Payload, Plan, Stage
from lamslsa.measure.sources import from_source, is_byte_code, unmeasured
from lamslsa.predicates._common import Digest, ResourceDescriptor

__all__ = ["GROUP", "STAGES", "ThirdParty", "find", "find_only"]

GROUP: Final = "lamslsa.measurers"
STAGES: Final[tuple[Stage, ...]] = ("evaluation", "model")
_LABEL: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_CODE: Final = (".py", ".so")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,127}")
_MAX_FILES: Final = 10_000
_MAX_MEASURERS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdParty:
    """A distribution with measurers, its files compared with its RECORD; nothing of it has been run.

    Attributes:
        descriptor: what a statement says of it.
        digest: SHA-256 over the canonical manifest of its files: what a simulated platform measures beside us.
    """

    descriptor: ResourceDescriptor
    digest: bytes
    _distribution: importlib.metadata.Distribution
    _files: frozenset[Path]

    def load(self, reserved: Collection[str]) -> tuple[Measurer, ...]:
        """Run its code, and take its measurers.

        Args:
            reserved: ``<name>/<version>`` of ours.

        Raises:
            FormatError: an entry point leads elsewhere, fails, or gives no measurer that could be taken.
        """
        points = sorted(self._distribution.entry_points.select(group=GROUP), key=lambda point: point.name)
        if not 0 < len(points) <= _MAX_MEASURERS:
            _refuse(f"1 to {_MAX_MEASURERS} entry points in the group {GROUP}", f"{len(points)}")
        with from_source():
            found = [self._measurer(point, reserved) for point in points]
        names = {(item.stage, str(item.name)) for item in found}
        if len(names) != len(found):
            _refuse("measurers of different names", "one name twice")
        return tuple(found)

    def refuse_others(self, plans: Iterable[Plan]) -> None:
        """Return if every plan is of a measurer of this distribution: its measurement vouches for these alone.

        Raises:
            FormatError: one is not (plugin-job).
        """
        for plan in plans:
            if plan.measurer.distribution != self.descriptor:
                raise FormatError(
                    f"expected a measurer of {self.descriptor.name} beside its code, got {plan.measurer}",
                    reason="plugin-job",
                    hint="leave --measurers out, or take the build measure",
                )

    def _measurer(self, point: importlib.metadata.EntryPoint, reserved: Collection[str]) -> Measurer:
        self._refuse_elsewhere(point)
        try:
            value = point.load()
            if isinstance(value, type) or not hasattr(value, "declare"):
                value = value()
            name, stage, declare = value.name, value.stage, value.declare
        except LamslsaError:
            raise
        except Exception as err:
            raise FormatError(
                f"expected a measurer at {point.value!a:.120}, got {type(err).__name__}: {err}", reason="plugin-failed"
            ) from err
        if not (isinstance(name, MeasurerName) and callable(declare)):
            _refuse("a measurer with a name and a way to declare it", type(value).__name__)
        if stage not in STAGES:
            _refuse(f"a measurer of the stage {' or '.join(STAGES)}", f"{stage!a:.80}")
        if not (_LABEL.fullmatch(name.name) and _LABEL.fullmatch(name.version)) or name.distribution is not None:
            _refuse("a measurer named in lower-case letters, digits, dots and dashes", f"{str(name)!a:.120}")
        if str(name) in reserved:
            _refuse("a measurer with a name of its own", f"{name}, which is ours")
        return _Measurer(
            name=MeasurerName(name=name.name, version=name.version, distribution=self.descriptor),
            stage=stage,
            inner=cast("Measurer", value),
        )

    def _refuse_elsewhere(self, point: importlib.metadata.EntryPoint) -> None:
        """An entry point leads to a module that the distribution has a file for; looked up, not imported."""
        top = point.module.partition(".")[0]
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.origin is None or Path(spec.origin).resolve() not in self._files:
            _refuse(f"an entry point that leads into {self.descriptor.name}", f"{point.value!a:.120}")


def find(name: str) -> ThirdParty:
    """The installed distribution of that name, its files held against its RECORD.

    Raises:
        UnavailableError: it is not installed.
        VerificationError: a file is not the recorded one, or there is code that is not recorded.
        FormatError: not a name, or no distribution with files of its own.
    """
    if not _NAME.fullmatch(name):
        _refuse("the name of a distribution", f"{name!a:.80}")
    try:
        return _third_party(importlib.metadata.distribution(name), asked=name)
    except importlib.metadata.PackageNotFoundError as err:
        raise UnavailableError(
            f"expected the distribution {name} to be installed, got none", reason="plugin-missing", hint="install it"
        ) from err


def find_only() -> ThirdParty:
    """The one distribution here that has measurers: how an enclave build knows which it was built for.

    Raises:
        FormatError: none, or several.
        VerificationError: as `find`.
    """
    found = [item for item in importlib.metadata.distributions() if item.entry_points.select(group=GROUP)]
    if len(found) != 1:
        _refuse(f"one distribution with entry points in the group {GROUP}", f"{len(found)}")
    return _third_party(found[0], asked=None)


def _third_party(distribution: importlib.metadata.Distribution, *, asked: str | None) -> ThirdParty:
    said = distribution.metadata["Name"]
    if not isinstance(said, str) or not _NAME.fullmatch(said):
        _refuse("the name of a distribution in its METADATA", f"{said!a:.80}")
    name = _normal(said)
    if asked is not None and name != _normal(asked):
        _refuse(f"{_normal(asked)} in the METADATA of the distribution of that name", name)
    version = distribution.version
    if not _VERSION.fullmatch(version):
        _refuse(f"the version of {name} in its METADATA", f"{version!a:.80}")
    site = Path(str(distribution.locate_file(""))).resolve()
    records = [site / path for path in distribution.files or () if path.name == "RECORD" and len(path.parts) == 2]
    if len(records) != 1:
        _refuse(f"{name} installed from a wheel, with a RECORD", "none")
    record = records[0].read_bytes()
    entries = [_entry(site, path, digest) for path, digest in _recorded(record.decode("utf-8"), name)]
    files = [entry for entry in entries if entry is not None]
    if not files:
        _refuse(f"{name} installed with files of its own", "none: an editable installation has none")
    paths = frozenset((site / entry.path).resolve() for entry in files)
    _refuse_unrecorded(site, files, paths, name)
    return ThirdParty(
        descriptor=ResourceDescriptor(
            name=name,
            uri=purl(name, version),
            digest=Digest(sha256=_codec.sha256_hex(record)),
        ),
        digest=bytes.fromhex(Manifest.of("model", files).sha256),
        _distribution=distribution,
        _files=paths,
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _recorded(record: str, name: str) -> Iterator[tuple[PurePosixPath, str]]:
    """Path and hash of what lies in the folder of packages; scripts lie outside."""
    for count, row in enumerate(csv.reader(record.splitlines())):
        if count >= _MAX_FILES or len(row) < 2:
            _refuse(f"a RECORD of {name} with at most {_MAX_FILES} entries", "another")
        path = PurePosixPath(row[0])
        if is_byte_code(path):
            _refuse_record(f"no byte code among the files of {name}", f"{row[0]!a:.120}")
        if ".." in path.parts or path.is_absolute():
            continue
        yield path, row[1]


def _entry(site: Path, path: PurePosixPath, digest: str) -> FileEntry | None:
    """A file as it is; None where there is none, which then cannot be run either, or where it is RECORD itself."""
    if (site / path).is_symlink():
        _refuse_record("files", f"a link at {str(path)!a:.120}")
    try:
        data = (site / path).read_bytes()
    except OSError:
        return None
    if not digest and path.name == "RECORD":
        return None
    actual = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode("ascii").rstrip("=")
    if actual != digest:
        _refuse_record("the files of the distribution to be those of its RECORD", f"another {str(path)!a:.120}")
    return FileEntry(path=path.as_posix(), sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def _unmeasured(folder: Path) -> Path | None:
    try:
        return folder if folder.is_symlink() else unmeasured(folder)
    except OSError as err:
        _refuse_record(f"to read {str(folder)!a:.120}", str(err.strerror))


def _refuse_unrecorded(site: Path, files: list[FileEntry], recorded: frozenset[Path], name: str) -> None:
    tops = {PurePosixPath(entry.path).parts[0] for entry in files if "/" in entry.path}
    for top in sorted(tops):
        path = _unmeasured(site / top)
        if path is not None:
            _refuse_record(f"no byte code and no links in {name}", f"{str(path.relative_to(site))!a:.120}")
        for path in (site / top).rglob("*"):
            if path.suffix in _CODE and path.resolve() not in recorded:
                _refuse_record(f"only recorded code in {name}", f"{str(path.relative_to(site))!a:.120} as well")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measurer:
    """A third party's measurer under its full name."""

    name: MeasurerName
    stage: Stage
    inner: Measurer

    def declare(self, fields: Mapping_, scope: Scope) -> Plan:
        """Its plan, watched."""
        with _told():
            return _Plan(measurer=self.name, inner=self.inner.declare(fields, scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A third party's plan: what it says is signed with its distribution, and about a model that it was given."""

    measurer: MeasurerName
    inner: Plan

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it reads."""
        with _told():
            return self.inner.inputs

    def steps(self) -> tuple[str, ...]:
        """What it would do."""
        with _told():
            return self.inner.steps()

    def measure(self, inputs: Mapping[str, Given], context: Context) -> Outcome:
        """Measure, and put into each statement whose code it was; see `lamslsa.measure.interface.Plan`.

        Raises:
            FormatError: it says something else than it may (plugin-statement).
        """
        with _told():
            outcome = self.inner.measure(inputs, context)
        if outcome.outputs or not outcome.statements:
            _refuse_statement("statements and no artifacts", "others")
        about = {given.artifact.manifest.sha256 for given in inputs.values() if given.artifact.manifest.kind == "model"}
        return Outcome(
            statements=[
                Payload(label=item.label, data=_attributed(item.data, self.measurer, about))
                for item in outcome.statements
            ],
            private=outcome.private,
        )


@contextmanager
def _told() -> Iterator[None]:
    """Code that is not ours runs from its sources, and an error in it is told as one, and is no bug of ours.

    Raises:
        FormatError: it failed (plugin-failed); errors that it raises in our words pass.
    """
    try:
        with from_source():
            yield
    except (LamslsaError, ModuleNotFoundError):
        raise
    except Exception as err:
        raise FormatError(
            f"expected a third party's measurer to run, got {type(err).__name__}: {err}", reason="plugin-failed"
        ) from err


def _attributed(payload: bytes, measurer: MeasurerName, about: Collection[str]) -> bytes:
    """The statement with the distribution of its measurer.

    1. It is a statement of a known predicate about a model that was given.
    2. It names this measurer, and says nothing of whose code it is.
    """
    parsed = statement.parse(payload)
    typed = predicates.parse(parsed)
    if {subject.sha256 for subject in parsed.subjects} - set(about):  # (1)
        _refuse_statement("a statement about a model that it was given", "another subject")
    claimed: Any = getattr(typed, "measurer", None)
    plain = MeasurerName(name=measurer.name, version=measurer.version)
    if claimed != plain:  # (2)
        _refuse_statement(f"a statement by {plain}", f"{str(claimed)!a:.120}")
    predicate = {**parsed.predicate, "measurer": predicates.to_wire(measurer)}
    return statement.make(parsed.subjects, parsed.predicate_type, predicate)


def _refuse_statement(expected: str, got: str) -> NoReturn:
    raise FormatError(f"expected {expected} from a third party's measurer, got {got}", reason="plugin-statement")


def _refuse_record(expected: str, got: str) -> NoReturn:
    raise VerificationError(
        f"expected {expected}, got {got}",
        reason="plugin-record",
        hint="install it again, with pip install --no-compile --force-reinstall",
    )


def _refuse(expected: str, got: str) -> NoReturn:
    raise FormatError(f"expected {expected}, got {got}", reason="plugin")
