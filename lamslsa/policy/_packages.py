"""Code and packages of a build, held against the lists of a policy.

Rules:
- Code is compared by digest. A package is compared by its package URL without version, in normal form; by its version
  (PEP 440), where the list names versions; and by the digest of its RECORD, where the list names digests.
- A pre-release counts only where the list's versions name one.
- A package URL with qualifiers or a subpath, or none at all, is not listed: nothing says what to compare it with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from lamslsa.lineage import Build
from lamslsa.policy import _words
from lamslsa.policy._candidates import Miss
from lamslsa.policy.model import Ingredients, PackageTerms, TrainingTerms
from lamslsa.predicates.provenance import Dependency

__all__ = ["code_misses", "package_misses", "unlisted", "unlisted_code", "unlisted_packages"]

_SHOWN: Final = 20
_SHORT: Final = 5
_MAX_VERSION: Final = 256
_SCHEME: Final = "pkg:"
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")


def unlisted(ingredients: Ingredients, training: TrainingTerms, build: Build) -> int:
    """How much code, and how many packages, of a build are not listed."""
    code = unlisted_code(ingredients, training, (build,))
    return len(code) + len(unlisted_packages(ingredients, (build,)))


def unlisted_code(ingredients: Ingredients, training: TrainingTerms, builds: Iterable[Build]) -> tuple[Dependency, ...]:
    """Code of these builds that the policy does not list, each once; ``training.ownCode`` is listed there."""
    if ingredients.code is None:
        return ()
    listed = {terms.sha256 for terms in ingredients.code} | {training.own_code}
    return _once(item for item in _of_kind(builds, "code") if item.digest.sha256 not in listed)


def unlisted_packages(ingredients: Ingredients, builds: Iterable[Build]) -> tuple[Dependency, ...]:
    """Packages of these builds that the policy does not list, each once."""
    if ingredients.packages is None:
        return ()
    listed: dict[str, list[PackageTerms]] = {}
    for terms in ingredients.packages:
        listed.setdefault(_normal(terms.purl), []).append(terms)
    return _once(item for item in _of_kind(builds, "package") if not _is_listed(listed, item))


def code_misses(items: Sequence[Dependency]) -> tuple[Miss, ...]:
    """What to say of code that is not listed; nothing where there is none."""
    lines = [f"- {{name: {json.dumps(item.name[:64])}, digest: sha256:{item.digest.sha256}}}" for item in items]
    return _misses("code", "ingredient-code", [_described(item) for item in items], lines)


def package_misses(ingredients: Ingredients, items: Sequence[Dependency]) -> tuple[Miss, ...]:
    """What to say of packages that are not listed; nothing where there are none."""
    pinned = {_normal(terms.purl) for terms in ingredients.packages or () if terms.sha256}
    lines = [_package_line(item, pinned) for item in items]
    return _misses("packages", "ingredient-package", [_described(item) for item in items], lines)


def _misses(key: str, reason: str, described: Sequence[str], lines: Sequence[str]) -> tuple[Miss, ...]:
    if not lines:
        return ()
    more = f" and {len(described) - _SHORT} more" if len(described) > _SHORT else ""
    rest = f"\n# and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return (
        Miss(
            reason=reason,
            message=f"expected only listed {key}, got {len(lines)} not listed: {', '.join(described[:_SHORT])}{more}",
            mend="\n".join([f"do without, or after review add to ingredients.{key}:", *lines[:_SHOWN]]) + rest,
        ),
    )


def _of_kind(builds: Iterable[Build], kind: str) -> Iterable[Dependency]:
    return (
        item
        for build in builds
        for item in build.provenance.build_definition.resolved_dependencies
        if item.annotations.kind == kind
    )


def _once(items: Iterable[Dependency]) -> tuple[Dependency, ...]:
    found = {(item.name, item.uri or "", item.digest.sha256): item for item in items}
    return tuple(item for _, item in sorted(found.items(), key=lambda entry: entry[0]))


def _described(item: Dependency) -> str:
    return f"{_words.quoted(item.uri or item.name)} ({_words.short(item.digest.sha256)})"


def _package_line(item: Dependency, pinned: set[str]) -> str:
    purl = _split(item.uri or "")
    if purl is None:
        return f"# no package URL that could be listed: {json.dumps((item.uri or item.name)[:80])}"
    name, version = purl
    fields = [f"purl: {json.dumps(name)}"]
    if _version(version) is not None:
        fields.append(f'version: "=={version}"')
    if name in pinned:
        fields.append(f"digest: [sha256:{item.digest.sha256}]")
    return f"- {{{', '.join(fields)}}}"


def _is_listed(listed: dict[str, list[PackageTerms]], item: Dependency) -> bool:
    purl = _split(item.uri or "")
    if purl is None:
        return False
    name, version = purl
    return any(
        (terms.versions is None or _within(terms.versions, version))
        and (not terms.sha256 or item.digest.sha256 in terms.sha256)
        for terms in listed.get(name, ())
    )


def _split(uri: str) -> tuple[str, str] | None:
    """The package URL without its version in normal form, and the version; None where it cannot be compared."""
    if not uri.lower().startswith(_SCHEME) or "?" in uri or "#" in uri:
        return None
    head, at, version = uri.rpartition("@")
    if not at or "/" in version or not version:
        return None
    return _normal(head), _unescaped(version)


def _normal(purl: str) -> str:
    """Type in lower case, and a name on PyPI as PyPI compares it."""
    kind, _, path = purl[len(_SCHEME) :].strip("/").partition("/")
    kind, path = kind.lower(), _unescaped(path)
    return f"{_SCHEME}{kind}/{canonicalize_name(path) if kind == 'pypi' else path}"


def _unescaped(text: str) -> str:
    """Text with its ``%2B`` and the like as characters; what is not ASCII compares byte by byte."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


@lru_cache(maxsize=4096)
def _within(versions: str, version: str) -> bool:
    parsed = _version(version)
    if parsed is None:
        return False
    try:
        allowed = SpecifierSet(versions)
    except InvalidSpecifier:
        return False
    return allowed.contains(parsed, prereleases=bool(allowed.prereleases))


def _version(text: str) -> Version | None:
    if len(text) > _MAX_VERSION:  # digits without end are an error of another kind
        return None
    try:
        return Version(text)
    except InvalidVersion:
        return None
