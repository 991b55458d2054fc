"""Policies from elsewhere: what is asked of whom, and that nothing counts but what was pinned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from lamslsa import _codec
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError, VerificationError
from lamslsa.policy.sources import FileSource, Pinned, PinnedFiles, parse_source

HEX = "5a" * 32
FILES = {"policy.yaml": b"kind: IngredientsPolicy\n", "keys/a.pub": b"a key"}


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    return Manifest.of(
        "model",
        [FileEntry(path=path, sha256=_codec.sha256_hex(data), size=len(data)) for path, data in files.items()],
    )


def nothing(path: Path, _: int, /) -> bytes:
    raise FileNotFoundError(path)


class Elsewhere:
    """Serves files, and remembers who was asked for what."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.asked: list[str] = []

    def __call__(self, source: Pinned, path: PurePosixPath, _: int, /) -> bytes:
        self.asked.append(f"{source.url} {path}")
        return self.files[path.as_posix()]


def registry(files: Mapping[str, bytes] = FILES, *, served: Mapping[str, bytes] | None = None) -> tuple[str, Elsewhere]:
    manifest = manifest_of(files)
    elsewhere = Elsewhere({**(files if served is None else served), "manifest.json": manifest.canonical})
    return f"oci://registry.example/policies@sha256:{manifest.sha256}", elsewhere


@pytest.mark.parametrize(
    "text",
    [
        "https://policies.example/p.yaml",
        "https://policies.example/p.yaml@sha256:5a",
        f"https://policies.example/p.yaml@sha256:{HEX.upper()}",
        f"ftp://policies.example/p.yaml@sha256:{HEX}",
        f"https://@sha256:{HEX}x",
        f"oci://registry.example/p@sha256:{HEX}\n",
        f"https://policies.example/a b@sha256:{HEX}",
        "oci://registry.example/policies:latest",
    ],
)
def test_what_is_not_pinned_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_source(text)
    assert caught.value.reason == "policy-source"


def test_pinned_places() -> None:
    found = parse_source(f"https://policies.example/a@b/p.yaml@sha256:{HEX}")
    assert found is not None
    assert (found.scheme, found.url, found.sha256) == ("https", "https://policies.example/a@b/p.yaml", HEX)
    assert parse_source("a/b.yaml") is None


def test_a_file_at_hand_is_relative_to_the_policy_that_names_it() -> None:
    asked: list[str] = []

    def read(path: Path, _: int, /) -> bytes:
        asked.append(path.as_posix())
        return b"x"

    found = FileSource.of("base.yaml", near=Path("more"), files=PinnedFiles(read, None))
    assert (found.data, found.path, found.pinned) == (b"x", Path("more/base.yaml"), None)
    assert asked == ["more/base.yaml"]
    with pytest.raises(FormatError) as caught:
        FileSource.of("/etc/base.yaml", near=Path(), files=PinnedFiles(read, None))
    assert caught.value.reason == "policy-file"


def test_an_artifact_is_read_file_by_file() -> None:
    text, elsewhere = registry()
    files = PinnedFiles(nothing, elsewhere)
    found = FileSource.of(text, near=Path("deep"), files=files)
    assert found.data == FILES["policy.yaml"]
    assert found.name == text
    assert files(found.path.parent / "keys" / "a.pub", 100) == b"a key"
    assert [line.split()[1] for line in elsewhere.asked] == ["policy.yaml", "manifest.json", "keys/a.pub"]


@pytest.mark.parametrize("name", ["policy.yaml", "keys/a.pub"])
def test_other_bytes_than_those_of_the_artifact_are_refused(name: str) -> None:
    text, elsewhere = registry(served={**FILES, name: b"others"})
    files = PinnedFiles(nothing, elsewhere)
    with pytest.raises(VerificationError) as caught:
        files(FileSource.of(text, near=Path(), files=files).path.parent / "keys" / "a.pub", 100)
    assert caught.value.reason == "policy-source-digest"


def test_another_manifest_is_refused() -> None:
    text, elsewhere = registry()
    elsewhere.files["manifest.json"] = manifest_of({"policy.yaml": b"others"}).canonical
    with pytest.raises(VerificationError) as caught:
        FileSource.of(text, near=Path(), files=PinnedFiles(nothing, elsewhere))
    assert caught.value.reason == "policy-source-digest"


def test_what_the_artifact_does_not_have_is_refused() -> None:
    text, elsewhere = registry(served={**FILES, "keys/b.pub": b"a key beside it"})
    files = PinnedFiles(nothing, elsewhere)
    found = FileSource.of(text, near=Path(), files=files)
    with pytest.raises(VerificationError):
        files(found.path.parent / "keys" / "b.pub", 100)


@pytest.mark.parametrize("altered", [False, True])
def test_what_is_at_hand_is_compared_and_nobody_asked(altered: bool) -> None:
    text, elsewhere = registry()
    source = parse_source(text)
    assert source is not None
    here = {source.folder / name: data for name, data in elsewhere.files.items()}
    here[source.folder / "keys" / "a.pub"] = b"mallory's" if altered else b"a key"

    def read(path: Path, limit: int, /) -> bytes:
        return here[path] if path in here else nothing(path, limit)

    files = PinnedFiles(read, None)
    found = FileSource.of(text, near=Path(), files=files)
    assert found.data == FILES["policy.yaml"]
    if altered:
        with pytest.raises(VerificationError):
            files(source.folder / "keys" / "a.pub", 100)
    else:
        assert files(source.folder / "keys" / "a.pub", 100) == b"a key"


def test_without_anybody_to_ask_it_has_to_be_at_hand() -> None:
    with pytest.raises(FormatError) as caught:
        FileSource.of(f"https://policies.example/p.yaml@sha256:{HEX}", near=Path(), files=PinnedFiles(nothing, None))
    assert caught.value.reason == "policy-source"
    assert f"pinned-{HEX}" in (caught.value.hint or "")


def test_only_files_of_policies_that_were_named_are_asked_for() -> None:
    elsewhere = Elsewhere(FILES)
    files = PinnedFiles(nothing, elsewhere)
    for path in (Path(f"pinned-{HEX}") / "policy.yaml", Path("other.yaml")):
        with pytest.raises(FileNotFoundError):
            files(path, 100)
    FileSource.of(f"https://policies.example/p.yaml@sha256:{HEX}", near=Path(), files=files)
    assert elsewhere.asked == ["https://policies.example/p.yaml policy.yaml"]


@pytest.mark.parametrize("scheme", ["https", "oci"])
def test_a_pinned_policy_names_no_file_outside_it(scheme: str) -> None:
    """It may be anybody's until it was compared, and what is at hand would be compared with no manifest."""
    text, elsewhere = registry()
    source = f"https://policies.example/p.yaml@sha256:{HEX}" if scheme == "https" else text
    here: list[Path] = []

    def read(path: Path, _: int, /) -> bytes:
        here.append(path)
        if ".." in path.parts:
            return b"secret"
        raise FileNotFoundError(path)

    files = PinnedFiles(read, elsewhere)
    folder = FileSource.of(source, near=Path(), files=files).path.parent
    for name in ("../secret.yaml", "keys/../../../etc/secret", "keys/../a.pub"):
        with pytest.raises(FormatError) as caught:
            files(folder / name, 100)
        assert caught.value.reason == "policy-file"
        with pytest.raises(FormatError):
            FileSource.of(name, near=folder, files=files)
    assert not [path for path in here if ".." in path.parts]


@pytest.mark.parametrize("outer", ["https", "oci"])
def test_a_pinned_policy_asks_nothing_of_this_machine(outer: str) -> None:
    text, elsewhere = registry()
    source = f"https://policies.example/p.yaml@sha256:{HEX}" if outer == "https" else text
    local = f"http://127.0.0.1:8080/shutdown@sha256:{'6b' * 32}"
    files = PinnedFiles(nothing, elsewhere)
    folder = FileSource.of(source, near=Path(), files=files).path.parent
    with pytest.raises(FormatError) as caught:
        FileSource.of(local, near=folder, files=files)
    assert caught.value.reason == "policy-source"
    assert not [line for line in elsewhere.asked if "127.0.0.1" in line]
    inner = FileSource.of(local, near=Path(), files=files).path.parent
    FileSource.of(local.replace("6b", "7c"), near=inner, files=files)
    assert len([line for line in elsewhere.asked if "127.0.0.1" in line]) == 2
