"""Folders as stores: what is received is complete or not there, resumed, compared, and never through a link."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import FileEntry, Manifest, hash_artifact
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store import FolderStore, StoredBundle, arrival
from lamslsa.store.interface import ArtifactStore

LARGE = "weights/model.safetensors"


class Source(FolderStore):
    """A store whose reads can be disturbed."""

    __slots__ = ("broken", "offsets", "replaced")

    def __init__(self, path: Path, *, broken: int = -1, replaced: bytes | None = None) -> None:
        super().__init__(path=path)
        object.__setattr__(self, "broken", [broken] if broken >= 0 else [])
        object.__setattr__(self, "replaced", replaced)
        object.__setattr__(self, "offsets", [])

    def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
        data = b"".join(super().read(file, offset=offset))
        if file.path != LARGE:
            yield data
            return
        self.offsets.append(offset)  # type: ignore[attr-defined]
        if self.replaced is not None:  # type: ignore[attr-defined]
            yield self.replaced[offset:]  # type: ignore[attr-defined]
        elif self.broken:  # type: ignore[attr-defined]
            size = self.broken.pop()  # type: ignore[attr-defined]
            if size:
                yield data[:size]
            raise UnavailableError("gone", reason="gone")
        else:
            yield data


def refused(path: Path, manifest: Manifest, source: ArtifactStore) -> str:
    with pytest.raises(FormatError) as caught:
        FolderStore(path=path).receive(manifest, source)
    return caught.value.reason


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def manifest(model: Path) -> Manifest:
    return hash_artifact(model, "model")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "target"


def test_a_copy_is_the_artifact(model: Path, manifest: Manifest, target: Path) -> None:
    seen: list[Any] = []
    made = FolderStore(path=target).receive(manifest, FolderStore(path=model), seen.append)
    assert made == f"{target}@sha256:{manifest.sha256}"
    assert tree(target) == tree(model)
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert (seen[-1].bytes_done, seen[-1].files_done) == (seen[-1].bytes_total, 5)
    assert isinstance(FolderStore(path=target), ArtifactStore)


def test_an_empty_folder_or_the_same_artifact_may_be_there(model: Path, manifest: Manifest, target: Path) -> None:
    target.mkdir(parents=True)
    source = FolderStore(path=model)
    FolderStore(path=target).receive(manifest, source)
    before = (target / LARGE).stat()
    FolderStore(path=target).receive(manifest, source)
    assert (target / LARGE).stat().st_mtime_ns == before.st_mtime_ns
    assert not target.with_name("target.partial").exists()


@pytest.mark.parametrize("what", ["file", "fewer", "more", "other", "attestations"])
def test_anything_else_in_the_way_is_refused(model: Path, manifest: Manifest, target: Path, what: str) -> None:
    if what == "file":
        target.parent.mkdir()
        target.write_bytes(b"mine")
    else:
        FolderStore(path=target).receive(manifest, FolderStore(path=model))
        if what == "fewer":
            (target / "README.md").unlink()
        elif what == "more":
            (target / "extra").write_bytes(b"")
        elif what == "other":
            (target / "config.json").write_bytes(b"[]")
        else:
            for path in tree(target):
                (target / path).unlink()
            (target / "weights").rmdir()
            (target / ".attestations").mkdir()
    before = tree(target) if target.is_dir() else target.read_bytes()
    assert refused(target, manifest, FolderStore(path=model)) == "store-taken"
    assert (tree(target) if target.is_dir() else target.read_bytes()) == before


def test_what_appears_meanwhile_is_not_replaced(model: Path, manifest: Manifest, target: Path) -> None:
    class Meanwhile(FolderStore):
        __slots__ = ()

        def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
            target.mkdir(exist_ok=True)
            (target / "mine").write_bytes(b"mine")
            return super().read(file, offset=offset)

    assert refused(target, manifest, Meanwhile(path=model)) == "store-taken"
    assert tree(target) == {"mine": b"mine"}


def test_other_bytes_are_refused_and_nothing_has_the_final_name(model: Path, manifest: Manifest, target: Path) -> None:
    data = bytearray((model / LARGE).read_bytes())
    data[-1] ^= 1
    assert refused(target, manifest, Source(model, replaced=bytes(data))) == "store-file-digest"
    assert not target.exists()
    assert refused(target, manifest, Source(model, replaced=bytes(data[:-1]))) == "store-file-digest"
    assert refused(target, manifest, Source(model, replaced=bytes(data) + b"x")) == "store-file-size"
    FolderStore(path=target).receive(manifest, FolderStore(path=model))
    assert tree(target) == tree(model)


def test_a_broken_connection_is_taken_up(model: Path, manifest: Manifest, target: Path) -> None:
    source = Source(model, broken=1000)
    FolderStore(path=target).receive(manifest, source)
    assert source.offsets == [0, 1000]  # type: ignore[attr-defined]
    assert tree(target) == tree(model)


def test_a_connection_that_brings_nothing_is_given_up_and_later_resumed(
    model: Path, manifest: Manifest, target: Path
) -> None:
    source = Source(model, broken=0)
    source.broken.append(1000)  # type: ignore[attr-defined]
    with pytest.raises(UnavailableError) as caught:
        FolderStore(path=target).receive(manifest, source)
    assert caught.value.reason == "gone"
    assert not target.exists()
    again = Source(model)
    FolderStore(path=target).receive(manifest, again)
    assert again.offsets == [1000]  # type: ignore[attr-defined]
    assert tree(target) == tree(model)


@pytest.mark.parametrize("size", [10, len(bytes(256)) * 9000, len(bytes(256)) * 9000 + 1])
def test_a_part_with_other_bytes_starts_anew(model: Path, manifest: Manifest, target: Path, size: int) -> None:
    part = target.with_name("target.partial") / LARGE
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * size)
    FolderStore(path=target).receive(manifest, FolderStore(path=model))
    assert tree(target) == tree(model)


def test_no_link_is_followed_while_writing(model: Path, manifest: Manifest, target: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"mine")
    partial = target.with_name("target.partial")
    source = FolderStore(path=model)

    target.parent.mkdir()
    partial.symlink_to(victim)
    assert refused(target, manifest, source) == "store-staging"
    partial.unlink()

    partial.mkdir()
    (partial / "weights").symlink_to(victim)
    assert refused(target, manifest, source) == "artifact-link-folder"
    (partial / "weights").unlink()

    (partial / "config.json").symlink_to("README.md")
    (partial / "README.md").write_bytes(b"")
    assert refused(target, manifest, source) == "store-part"
    (partial / "config.json").unlink()

    os.link(victim / "file", partial / "config.json")
    assert refused(target, manifest, source) == "store-part"
    (partial / "config.json").unlink()

    os.mkfifo(partial / "config.json")
    assert refused(target, manifest, source) == "artifact-special"
    assert tree(victim) == {"file": b"mine"}


def test_links_and_files_where_folders_are_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        for name in ("file", "link/x"):
            with pytest.raises(FormatError) as caught, arrival.folder_at(root, name):
                pass
            assert caught.value.reason == "store-link"
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FormatError) as caught:
            arrival.open_part(root, "pipe")
        assert caught.value.reason == "store-part"
        with pytest.raises(FormatError) as caught:
            arrival.open_part(root, "link")
        assert caught.value.reason == "store-part"
    finally:
        os.close(root)


@pytest.mark.parametrize("name", ["extra", "weights/extra", ".git/config", ".attestations/a.sigstore.json"])
def test_what_is_no_part_of_the_artifact_does_not_get_into_it(
    model: Path, manifest: Manifest, target: Path, name: str
) -> None:
    foreign = target.with_name("target.partial") / name
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"mine")
    assert refused(target, manifest, FolderStore(path=model)) == "store-staging-foreign"
    assert foreign.read_bytes() == b"mine"


def test_one_writer_at_a_time(model: Path, manifest: Manifest, target: Path) -> None:
    partial = target.with_name("target.partial")
    partial.mkdir(parents=True)
    other = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError) as caught:
            FolderStore(path=target).receive(manifest, FolderStore(path=model))
        assert caught.value.reason == "store-busy"
    finally:
        os.close(other)
    FolderStore(path=target).receive(manifest, FolderStore(path=model))


def test_a_folder_that_cannot_be_written(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    too_long = "x" * 250  # with .partial no name that a file system takes
    with pytest.raises(UnavailableError) as caught:
        FolderStore(path=tmp_path / too_long).receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "store-write"


def test_the_first_error_stops_the_others(model: Path, manifest: Manifest) -> None:
    done: list[str] = []
    lock = threading.Lock()

    def take(file: FileEntry, counted: arrival.Counted) -> None:
        with lock:
            done.append(file.path)
        raise FormatError("no", reason="first")

    with pytest.raises(FormatError) as caught:
        arrival.each_file(manifest.files * 100, take, None)
    assert caught.value.reason == "first"
    assert len(done) <= 4


def test_a_digest_pins_the_artifact(model: Path, manifest: Manifest, target: Path) -> None:
    assert FolderStore(path=model, pinned=manifest.sha256).manifest() == manifest
    other = FolderStore(path=model, pinned="0" * 64)
    assert other.reference == f"{model}@sha256:{'0' * 64}"
    with pytest.raises(FormatError) as caught:
        other.manifest()
    assert caught.value.reason == "store-pinned"
    with pytest.raises(FormatError) as caught:
        FolderStore(path=target, pinned="0" * 64).receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "store-pinned"
    assert not target.exists()
    with pytest.raises(FormatError) as caught:
        FolderStore(path=model, kind="dataset", pinned=manifest.sha256).manifest()
    assert caught.value.reason == "store-pinned"


def test_bundles_lie_beside(model: Path, bundle: Any, tmp_path: Path) -> None:
    store = FolderStore(path=model)
    made = store.put(bundle(), name="a")
    assert Path(made).parent == model / ".attestations"
    assert list(store.bundles()) == [StoredBundle(source=made, data=bundle())]
    single = FolderStore(path=model / "README.md")
    assert single.attestations == model / ".attestations"
    assert list(single.bundles()) == [StoredBundle(source=made, data=bundle())]
    with pytest.raises(FormatError) as caught:
        FolderStore(path=tmp_path / "none").put(bundle(), name="a")
    assert caught.value.reason == "store-no-artifact"


def test_bundles_do_not_go_through_a_link(model: Path, bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (model / ".attestations").symlink_to(tmp_path / "victim")
    with pytest.raises(FormatError) as caught:
        FolderStore(path=model).put(bundle(), name="a")
    assert caught.value.reason == "store-attestations-link"
    assert tree(tmp_path / "victim") == {}


def test_a_single_file_is_an_artifact(model: Path, target: Path) -> None:
    source = FolderStore(path=model / LARGE, kind="dataset")
    FolderStore(path=target).receive(source.manifest(), source)
    assert tree(target) == {"model.safetensors": (model / LARGE).read_bytes()}


def test_reading(model: Path, tmp_path: Path) -> None:
    store = FolderStore(path=model)

    def read(path: str, offset: int = 0) -> bytes:
        return b"".join(store.read(FileEntry(path=path, sha256="0" * 64, size=1), offset=offset))

    assert read("README.md", 2) == b"a model\n"
    assert all(len(block) <= 1024 * 1024 for block in store.read(FileEntry(path=LARGE, sha256="", size=0)))
    (model / "link").symlink_to("README.md")
    assert read("link") == b"# a model\n"
    (tmp_path / "secret").write_bytes(b"secret")
    (model / "out").symlink_to(tmp_path / "secret")
    for path, reason in [
        ("out", "store-link-outside"),
        ("none", "store-no-file"),
        ("weights", "store-no-file"),
        ("README.md/x", "store-no-file"),
        ("../secret", "path-relative"),
        (".git/config", "path-excluded"),
    ]:
        with pytest.raises(FormatError) as caught:
            read(path)
        assert caught.value.reason == reason


def test_a_folder_that_is_there_stays_the_folder_that_it_is(
    model: Path, manifest: Manifest, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.mkdir(parents=True, mode=0o750)
    before = target.stat()
    target.parent.chmod(0o755)
    monkeypatch.chdir(target)
    made = FolderStore(path=Path()).receive(manifest, FolderStore(path=model))
    assert made == f".@sha256:{manifest.sha256}"
    after = target.stat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert tree(Path()) == tree(model)
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert FolderStore(path=Path()).manifest() == manifest


@pytest.mark.parametrize("stop", range(1, 11))
def test_a_folder_that_is_filled_in_place_is_complete_or_says_that_it_is_not(
    model: Path, manifest: Manifest, target: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    target.mkdir(parents=True)
    calls: list[str] = []

    def interrupted(kind: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> None:
            calls.append(kind)
            if len(calls) == stop:
                raise KeyboardInterrupt
            real(*args, **kwargs)

        return call

    source = FolderStore(path=model)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", interrupted("link", os.link))
        patch.setattr(os, "unlink", interrupted("unlink", os.unlink))
        with pytest.raises(KeyboardInterrupt):
            FolderStore(path=target).receive(manifest, source)
    with pytest.raises(FormatError) as caught:
        FolderStore(path=target).manifest()
    assert caught.value.reason == "store-incomplete"
    assert hash_artifact(target, "model") != manifest
    FolderStore(path=target).receive(manifest, source)
    assert tree(target) == tree(model)
    assert not (target / ".lamslsa.partial").exists()


def test_what_appears_in_a_folder_meanwhile_is_not_replaced(model: Path, manifest: Manifest, target: Path) -> None:
    class Meanwhile(FolderStore):
        __slots__ = ()

        def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
            (target / "config.json").write_bytes(b"mine")
            return super().read(file, offset=offset)

    target.mkdir(parents=True)
    assert refused(target, manifest, Meanwhile(path=model)) == "store-taken"
    assert (target / "config.json").read_bytes() == b"mine"
    assert refused(target, manifest, FolderStore(path=model)) == "store-taken"


def test_a_folder_that_holds_more_than_what_began_to_arrive(model: Path, manifest: Manifest, target: Path) -> None:
    (target / ".lamslsa.partial").mkdir(parents=True)
    (target / "mine").write_bytes(b"mine")
    assert refused(target, manifest, FolderStore(path=model)) == "store-taken"


def test_an_artifact_that_takes_the_name_of_the_staging_folder(target: Path) -> None:
    target.mkdir(parents=True)
    manifest = Manifest.of("model", [FileEntry(path=".LAMSLSA.partial/a", sha256="0" * 64, size=0)])
    assert refused(target, manifest, FolderStore(path=target)) == "store-staging-name"


@pytest.mark.parametrize("path", ["sub/.git/config", "a/b/.GIT/HEAD", "a/.Git"])
def test_no_repository_is_written(target: Path, path: str) -> None:
    manifest = Manifest.of("model", [FileEntry(path=path, sha256="0" * 64, size=0)])
    assert refused(target, manifest, FolderStore(path=target)) == "store-git-path"
    assert not target.parent.exists()


def test_a_staging_folder_of_another_user_is_refused(
    model: Path, manifest: Manifest, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert refused(target, manifest, FolderStore(path=model)) == "store-other-owner"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("name", ["weights", "config.json"])
def test_what_another_user_has_put_into_the_staging_folder_is_refused(
    model: Path, manifest: Manifest, target: Path, name: str
) -> None:
    partial = target.with_name("target.partial")
    (partial / "weights").mkdir(parents=True)
    (partial / "config.json").write_bytes(b"{}")
    os.chown(partial / name, 12345, 12345)
    assert refused(target, manifest, FolderStore(path=model)) == "store-other-owner"


def test_a_folder_that_cannot_get_its_name_is_told(
    model: Path, manifest: Manifest, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "no space")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UnavailableError) as caught:
        FolderStore(path=target).receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "store-write"
    monkeypatch.undo()
    FolderStore(path=target).receive(manifest, FolderStore(path=model))


def test_a_link_in_place_of_the_bundles_is_not_read(model: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "a.sigstore.json").write_bytes(b"secret")
    (model / ".attestations").symlink_to(tmp_path / "private")
    for path in (model, model / "README.md"):
        with pytest.raises(FormatError) as caught:
            list(FolderStore(path=path).bundles())
        assert caught.value.reason == "store-attestations-link"


def test_what_is_there_already_is_hashed_with_progress(model: Path, manifest: Manifest, target: Path) -> None:
    FolderStore(path=target).receive(manifest, FolderStore(path=model))
    seen: list[Any] = []
    FolderStore(path=target).receive(manifest, FolderStore(path=model), seen.append)
    assert seen[-1].bytes_done == sum(file.size for file in manifest.files)


def test_a_part_that_starts_anew_keeps_nothing_of_what_it_was(model: Path, manifest: Manifest, target: Path) -> None:
    part = target.with_name("target.partial") / LARGE
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (model / LARGE).stat().st_size)
    source = Source(model, broken=0)
    source.broken.append(1000)  # type: ignore[attr-defined]
    with pytest.raises(UnavailableError):
        FolderStore(path=target).receive(manifest, source)
    assert part.read_bytes() == (model / LARGE).read_bytes()[:1000]
    with pytest.raises(FormatError):
        FolderStore(path=target).receive(manifest, Source(model, replaced=b"y" * (model / LARGE).stat().st_size))
    assert part.read_bytes() == b""


def test_bytes_that_were_of_no_use_are_not_counted(model: Path, manifest: Manifest, target: Path) -> None:
    part = target.with_name("target.partial") / LARGE
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    seen: list[Any] = []
    FolderStore(path=target).receive(manifest, FolderStore(path=model), seen.append)
    assert seen[-1].bytes_done == seen[-1].bytes_total
