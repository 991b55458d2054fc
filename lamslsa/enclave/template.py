"""The manifest of an enclave build, rendered: what gramine-manifest and gramine-sgx-sign turn into a final one.

The same arguments give the same bytes: lists are sorted, and nothing is read from the clock or the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from lamslsa.enclave.manifest import ENCLAVE_SIZE, ENTRIES, ENVIRONMENT, FLAGS, PRODUCT_IDS, Build
from lamslsa.errors import FormatError, UnavailableError

__all__ = ["Feature", "Mount", "Settings", "TrustedFile", "render"]

Feature = Literal["required", "disabled"]
# What needs no quoting in TOML and means nothing to the template language, through which it passes once more.
_PLAIN: Final = re.compile(r"[A-Za-z0-9._+@=:,~/()\[\]# -]+")
_GRAMINE_RUNTIME: Final = "{{ gramine.runtimedir() }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A place in the enclave's file system and the URI on the host that shows there."""

    path: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedFile:
    """A file of the host that the enclave opens only while it has this digest."""

    uri: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may differ between builds of one release; all of it is part of the measurement.

    Attributes:
        enclave_size: memory; with EDMM the most that it may grow to.
        edmm: add memory when it is needed: quick to start, needs an Ice Lake server or later and Linux 6.0.
        avx512: whether a machine must have it; other vector units give other last digits.
        amx: likewise.
        svn: raised by every release that repairs a weakness.
    """

    enclave_size: str = "16G"
    edmm: bool = False
    max_threads: int = 16
    avx512: Feature = "required"
    amx: Feature = "disabled"
    svn: int = 1

    def __post_init__(self) -> None:
        if not ENCLAVE_SIZE.fullmatch(self.enclave_size):
            raise FormatError(
                f"expected a size such as 512M or 16G, got {self.enclave_size[:40]!r}", reason="enclave-size"
            )


def _templates() -> Path:
    """The folder with the manifest templates: beside this module in a wheel, at the root of a checkout.

    Raises:
        UnavailableError: in neither.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "templates", here.parents[1] / "enclave"):
        if (folder / "common.manifest.toml.in").is_file():
            return folder
    raise UnavailableError(
        "expected the manifest templates of the enclave builds, got none",
        reason="enclave-templates",
        hint="install the package again",
    )


def render(
    build: Build,
    *,
    python: PurePosixPath,
    mounts: Sequence[Mount],
    trusted: Iterable[TrustedFile],
    code: PurePosixPath | None = None,
    settings: Settings | None = None,
) -> bytes:
    """Render the template that gramine-manifest takes; the same arguments give the same bytes.

    Args:
        build: which of them.
        python: the interpreter's place in the enclave.
        mounts: where interpreter, libraries and packages show.
        trusted: every file that may be opened, in any order.
        code: folder with the user's training code; for ``train-own`` and only there.
        settings: what may differ between builds.

    Raises:
        FormatError: a path with characters that a manifest cannot carry, or code where there must be none.
        UnavailableError: jinja2 or the templates are missing.
    """
    import jinja2

    if (code is not None) != (build == "train-own"):
        raise FormatError(
            f"expected training code in the build train-own and only there, got the build {build}",
            reason="enclave-code",
        )
    chosen = settings or Settings()
    surroundings = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_templates()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - TOML, whose strings `toml` writes
        keep_trailing_newline=True,
    )
    surroundings.filters["toml"] = _toml_string
    text = surroundings.get_template(f"{build}.manifest.toml.in").render(
        argv=(str(python), *FLAGS, ENTRIES[build]),
        python=str(python),
        environment=sorted(ENVIRONMENT.items()),
        gramine_runtime=_GRAMINE_RUNTIME,
        mounts=sorted(mounts, key=lambda mount: mount.path),
        code=None if code is None else f"file:{code}",
        trusted=sorted(trusted, key=lambda file: file.uri),
        product_id=PRODUCT_IDS[build],
        svn=chosen.svn,
        max_threads=chosen.max_threads,
        enclave_size=chosen.enclave_size,
        edmm=chosen.edmm,
        avx512=chosen.avx512,
        amx=chosen.amx,
    )
    return text.encode("ascii")


def _toml_string(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        raise FormatError(
            f"expected plain ASCII in a path of the enclave, got {text!a:.200}",
            reason="enclave-path",
            hint="install Python and the packages under a path without quotes, braces and the like",
        )
    return f'"{text}"'
