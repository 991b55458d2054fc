"""Audit archives: everything that a verdict rests on but the model's bytes, in one ZIP file that verifies offline.

    audit.json                  what this is, about which model, as of when
    model/manifest.json         canonical manifest of the model
    bundles/…                   every bundle that was found, to the byte
    policy/policy.yaml          the policy, and beside it the files that it names
    sigstore/trusted-root.json  timestamp authorities, logs and certificate authorities
    collateral/…                what manufacturers said of platforms

Rules:
- One spelling: a file is an archive only if it is the very ZIP file that `write` makes of what it holds, so that no two
  readers see two archives in it (`lamslsa._stored_zip`).
- An archive proves nothing by itself: everything in it is untrusted until it is verified, and what it brings to judge
  itself by (policy, roots) is the choice of whoever made it. The relying party sees that, or brings its own.
- The same input gives the same bytes. Names, sizes and counts are capped; unknown entries are refused.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lamslsa import _codec, _stored_zip
from lamslsa.artifact.manifest import MAX_MANIFEST_BYTES, Manifest
from lamslsa.errors import FormatError
from lamslsa.sign.dsse import BUNDLE_SUFFIX, LINES_SUFFIX
from lamslsa.store.interface import StoredBundle

__all__ = ["MAX_ARCHIVE_BYTES", "Archive", "is_archive", "read", "write"]

MAX_ARCHIVE_BYTES: Final = 256 * 1024 * 1024
_MEDIA_TYPE: Final = "application/vnd.lamslsa.audit.v1+json"
_INDEX: Final = "audit.json"
_MANIFEST: Final = "model/manifest.json"
_POLICY: Final = "policy/policy.yaml"
_ROOT: Final = "sigstore/trusted-root.json"
_MAX_ENTRIES: Final = 20_000
_MAX_ENTRY_BYTES: Final = 16 * 1024 * 1024
_SUFFIXES: Final = (BUNDLE_SUFFIX, LINES_SUFFIX)
_PART: Final = re.compile(r"[A-Za-z0-9_+@=-][A-Za-z0-9._+@=-]{0,127}")
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_SINGLE: Final = frozenset({_INDEX, _MANIFEST, _ROOT})
_FOLDERS: Final = frozenset({"bundles", "collateral", "policy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What an archive holds.

    Attributes:
        now: when it was made, to the second; a claim of the archive.
        at: as of which time expiry was judged where no trusted time says; a claim of the archive.
        model_name: a label.
        manifest: of the model.
        bundles: from name to bytes.
        policy: the bytes of the policy file.
        policy_files: what the policy names, from path relative to it to bytes.
        trusted_root: of Sigstore; None where the embedded one was used.
        collateral: endorsements of manufacturers.
        sha256: of the archive, where it was read from one.
    """

    now: dt.datetime
    at: dt.datetime
    model_name: str
    manifest: Manifest
    bundles: Mapping[str, bytes]
    policy: bytes
    policy_files: Mapping[str, bytes]
    trusted_root: bytes | None
    collateral: Sequence[bytes]
    sha256: str = field(default="", compare=False)

    def stored(self) -> Iterator[StoredBundle]:
        """Every bundle, in the order of their names."""
        for name, data in sorted(self.bundles.items()):
            yield StoredBundle(source=name, data=data)

    def read_policy_file(self, path: Path, limit: int, /) -> bytes:
        """The bytes of a file that the policy names, for `lamslsa.policy.load_policy` with an empty directory.

        Raises:
            FileNotFoundError: the archive has none of this name.
            FormatError: it is larger than the limit.
        """
        data = self.policy_files.get(_normal(path))
        if data is None:
            raise FileNotFoundError(f"no such file in the archive: {path}")
        if len(data) > limit:
            raise FormatError(f"expected at most {limit} bytes, got more", reason="policy-file")
        return data


def _normal(path: Path) -> str:
    """A path relative to the policy, spelt in one way; ``..`` stays, and is in no archive."""
    return PurePosixPath(path.as_posix()).as_posix()


def write(archive: Archive) -> bytes:
    """The ZIP file.

    Raises:
        FormatError: larger than a reader takes, or with names that a reader refuses.
    """
    entries: dict[str, bytes] = {
        _INDEX: _codec.dumps(
            {
                "mediaType": _MEDIA_TYPE,
                "exportedAt": archive.now.strftime(_TIME),
                "at": archive.at.strftime(_TIME),
                "model": {"name": archive.model_name, "digest": f"sha256:{archive.manifest.sha256}"},
            }
        ),
        _MANIFEST: archive.manifest.canonical,
        _POLICY: archive.policy,
    }
    if archive.trusted_root is not None:
        entries[_ROOT] = archive.trusted_root
    for name, data in archive.bundles.items():
        entries[f"bundles/{name}"] = data
    for path, data in archive.policy_files.items():
        entries[f"policy/{path}"] = data
    for number, data in enumerate(archive.collateral):
        entries[f"collateral/{number:04}.json"] = data
    _refuse_sizes([len(data) for data in entries.values()])
    for name in entries:
        _refuse_name(name)
    return _stored_zip.write(entries)


def is_archive(data: bytes) -> bool:
    """Whether a file says that it is an audit archive, as opposed to a model that is a ZIP file."""
    return _stored_zip.first_name(data) == _INDEX


def read(data: bytes) -> Archive:
    """Read an untrusted archive; nothing in it is verified yet, but its manifest is the one that it says.

    Raises:
        FormatError: not an archive of this version.
    """
    entries = _entries(data)
    missing = [name for name in (_INDEX, _MANIFEST, _POLICY) if name not in entries]
    if missing:
        raise FormatError(f"expected {missing[0]} in the archive, got none", reason="archive-shape")
    index = _codec.loads(entries.pop(_INDEX), max_bytes=_MAX_ENTRY_BYTES)
    now, at, name, digest = _index(index)
    manifest_bytes = entries.pop(_MANIFEST)
    if len(manifest_bytes) > MAX_MANIFEST_BYTES:
        raise FormatError("expected a manifest of an artifact, got more bytes than one has", reason="archive-shape")
    manifest = Manifest.parse(manifest_bytes)
    if digest != f"sha256:{manifest.sha256}":
        raise FormatError(
            f"expected the manifest of {digest[:80]!r} in the archive, got that of sha256:{manifest.sha256}",
            reason="archive-manifest",
        )
    folders: dict[str, dict[str, bytes]] = {folder: {} for folder in _FOLDERS}
    policy, root = entries.pop(_POLICY), entries.pop(_ROOT, None)
    for path, content in entries.items():
        folder, _, rest = path.partition("/")
        folders[folder][rest] = content
    return Archive(
        now=now,
        at=at,
        model_name=name,
        manifest=manifest,
        bundles=folders["bundles"],
        policy=policy,
        policy_files=folders["policy"],
        trusted_root=root,
        collateral=[content for _, content in sorted(folders["collateral"].items())],
        sha256=_codec.sha256_hex(data),
    )


def _index(index: Any) -> tuple[dt.datetime, dt.datetime, str, str]:
    if not isinstance(index, dict) or index.get("mediaType") != _MEDIA_TYPE:
        raise FormatError(f"expected {_INDEX} of type {_MEDIA_TYPE}, got another", reason="archive-version")
    model = index.get("model")
    name, digest = (model.get("name"), model.get("digest")) if isinstance(model, dict) else (None, None)
    if not (isinstance(name, str) and isinstance(digest, str)):
        raise FormatError(f"expected a model in {_INDEX}, got none", reason="archive-shape")
    return _time(index.get("exportedAt")), _time(index.get("at")), name, digest


def _time(value: Any) -> dt.datetime:
    try:
        return dt.datetime.strptime(value, _TIME).replace(tzinfo=dt.UTC)
    except (TypeError, ValueError) as err:
        raise FormatError(f"expected times in {_INDEX}, got {value!r:.80}", reason="archive-shape") from err


def _entries(data: bytes) -> dict[str, bytes]:
    if len(data) > MAX_ARCHIVE_BYTES:
        raise FormatError(
            f"expected an archive of at most {MAX_ARCHIVE_BYTES} bytes, got {len(data)}", reason="archive-size"
        )
    entries = _stored_zip.read(data)
    _refuse_sizes([len(content) for content in entries.values()])
    for name in entries:
        _refuse_name(name)
    return entries


def _refuse_sizes(sizes: Sequence[int]) -> None:
    if len(sizes) > _MAX_ENTRIES or sum(sizes) > MAX_ARCHIVE_BYTES or max(sizes, default=0) > _MAX_ENTRY_BYTES:
        raise FormatError(
            f"expected at most {_MAX_ENTRIES} files of {_MAX_ENTRY_BYTES} bytes and {MAX_ARCHIVE_BYTES} in all "
            "in an archive, got more",
            reason="archive-size",
        )


def _refuse_name(name: str) -> None:
    folder, *rest = name.split("/")
    known = name in _SINGLE or (folder in _FOLDERS and rest and all(_PART.fullmatch(part) for part in rest))
    if not known or (folder == "bundles" and (len(rest) != 1 or not name.endswith(_SUFFIXES))):
        raise FormatError(
            f"expected only the files of an audit archive, got {name[:80]!r}",
            reason="archive-name",
            hint="files that a policy names lie below it, under names of letters, digits and ._+@=-",
        )
