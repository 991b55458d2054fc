"""Datasets, code, packages and licences as the policy lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from lamslsa.lineage import Artifact, Datasheet
from lamslsa.policy import _licenses
from lamslsa.policy.init._found import Found
from lamslsa.policy.init._scalars import Labels, comment, flow, is_text, scalar
from lamslsa.predicates.provenance import Dependency

__all__ = ["Datasets", "code_lines", "license_lines", "model_lines", "package_lines"]

_PYPI: Final = "pkg:pypi/"
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


@dataclass(slots=True, kw_only=True)
class Datasets:
    """Datasets, each declared alike wherever it stands."""

    found: Found
    platform: str
    labels: Labels = field(default_factory=Labels)
    _schemas: dict[str, str] = field(default_factory=dict)

    def label(self, sha256: str) -> str:
        """What the policy calls a dataset."""
        return self.labels.of("dataset", sha256, self.found.lineage.label(Artifact(kind="dataset", sha256=sha256)))

    def inline(self, sha256: str, schema: str | None) -> str | None:
        """A dataset as YAML on one line; None without a datasheet under this schema.

        One that was read under several schemas is held to none.
        """
        if schema is None or self.found.sheet(sha256, schema) is None:
            return None
        self._schemas.setdefault(sha256, schema)
        schemas = {item.schema for item in self.found.readings if item.artifact.sha256 == sha256} | {schema}
        schemas |= {
            item.evaluation.dataset.schema_digest.sha256
            for item in self.found.measurements()
            if item.dataset.sha256 == sha256
        }
        return flow(
            name=scalar(self.label(sha256)),
            digest=f"sha256:{sha256}",
            schema=f"sha256:{schema}" if len(schemas) == 1 else "",
            datasheet=flow(signedBy=scalar(self._signer(sha256)), platform=self.platform),
            preparation=self._preparation(sha256),
        )

    def sheet(self, sha256: str) -> Datasheet | None:
        """The datasheet that the dataset is declared by."""
        return self.found.sheet(sha256, self._schemas.get(sha256))

    def _signer(self, sha256: str) -> str:
        sheet = self.sheet(sha256)
        return "" if sheet is None else self.found.signer(sheet.attestation)

    def _preparation(self, sha256: str) -> str:
        """How it was made out of others, where a step here says so."""
        for step in self.found.steps:
            if step.build.product == Artifact(kind="dataset", sha256=sha256):
                code = str(step.build.provenance.build_definition.external_parameters.code)
                if is_text(code):
                    return flow(signedBy=scalar(step.signer), platform=self.platform, allow=f"[{scalar(code)}]")
        return ""

    def lines(self) -> Iterator[str]:
        """``ingredients.datasets``."""
        yield "  datasets:"
        for sha256 in dict.fromkeys(item.artifact.sha256 for item in self.found.readings):
            schemas = [item.schema for item in self.found.readings if item.artifact.sha256 == sha256]
            text = next((line for line in (self.inline(sha256, schema) for schema in schemas) if line), None)
            sheet = self.sheet(sha256)
            if text is None or sheet is None:
                continue
            declared = sheet.sheet.declared
            license_ = declared.license if declared is not None and declared.license else "none"
            said = f"{sheet.sheet.rows} rows, licence declared: {license_}"
            yield f"    {comment(f'{said}; datasheet sha256:{sheet.attestation.statement.sha256[:12]}')}"
            yield f"    - {text}"

    def licenses(self) -> tuple[str, ...] | None:
        """The licence of each dataset, where each declares one by its SPDX identifier."""
        found: set[str] = set()
        for item in self.found.readings:
            sheet = self.found.sheet(item.artifact.sha256, item.schema)
            declared = None if sheet is None or sheet.sheet.declared is None else sheet.sheet.declared.license
            expression = None if declared is None else _licenses.canonical(declared)
            if not isinstance(expression, str):
                return None
            found.add(expression)
        return tuple(sorted(found)) or None


def license_lines(found: Found, datasets: Datasets) -> Iterator[str]:
    """``ingredients.licenses``, where everything says under which it is."""
    allowed = None if found.bases else datasets.licenses()
    if allowed is not None:
        yield f"  licenses: {flow(allow='[' + ', '.join(map(scalar, allowed)) + ']')}"
    else:
        yield f"  {comment('licenses: not every ingredient declares one as an SPDX identifier')}"


def model_lines(found: Found, labels: Labels) -> Iterator[str]:
    """``ingredients.models``."""
    if not found.bases:
        return
    yield "  models:"
    yield "    # By digest alone; policy: FILE asks more of a base model, and so does signature: {signedBy: NAME}."
    for item in found.bases:
        name = scalar(labels.of("model", item.artifact.sha256, item.name))
        yield f"    - {flow(name=name, digest=f'sha256:{item.artifact.sha256}')}"


def _of_kind(found: Found, kind: str) -> Mapping[str, Dependency]:
    items = (
        item
        for step in found.steps
        for item in step.build.provenance.build_definition.resolved_dependencies
        if item.annotations.kind == kind
    )
    return {item.digest.sha256: item for item in sorted(items, key=lambda item: (item.name, item.digest.sha256))}


def code_lines(found: Found, labels: Labels) -> Iterator[str]:
    """``ingredients.code``: every code that some step names."""
    items = _of_kind(found, "code")
    if items:
        yield "  code:"
    for sha256, item in items.items():
        yield f"    - {flow(name=scalar(labels.of('code', sha256, item.name)), digest=f'sha256:{sha256}')}"


def package_lines(found: Found) -> Iterator[str]:
    """``ingredients.packages``: every package that some step names, or none where one cannot be named."""
    items = _of_kind(found, "package")
    lines = {sha256: _package(item) for sha256, item in items.items()}
    if not items:
        return
    if None in lines.values():
        yield f"  {comment('packages: one of them has no package URL that a policy could name')}"
        return
    yield "  packages:"
    for sha256, line in lines.items():
        yield f"    - {{{line}, digest: [sha256:{sha256}]}}"


def _package(item: Dependency) -> str | None:
    head, at, version = (item.uri or "").rpartition("@")
    if not at or not head.startswith(_PYPI) or any(mark in head for mark in "?#%"):
        return None
    name = canonicalize_name(head.removeprefix(_PYPI))
    if not _NAME.fullmatch(name):
        return None
    try:
        versions = str(SpecifierSet(f"=={version.replace('%2B', '+').replace('%2b', '+')}"))
    except InvalidSpecifier:
        return None
    return f'purl: {_PYPI}{name}, version: "{versions}"'
