"""Hub repositories on disk: clones and cache snapshots, their links and pointers."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import FileEntry, hash_artifact, materialize
from lamslsa.errors import FormatError
from lamslsa.store import FolderStore, HubStore
from lamslsa.store.transfer import copy

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 2304000\n"


@pytest.fixture
def clone(model: Path) -> Path:
    (model / ".git").mkdir()
    (model / ".git" / "config").write_bytes(b"[core]")
    (model / ".gitattributes").write_bytes(b"*.safetensors filter=lfs\n")
    return model


@pytest.fixture
def snapshot(model: Path, tmp_path: Path) -> Path:
    """The model in the hub's cache: blobs, and a snapshot of links into them."""
    entry = tmp_path / "hub" / "models--org--name"
    root = entry / "snapshots" / "abc"
    (entry / "blobs").mkdir(parents=True)
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        name = path.relative_to(model)
        blob = entry / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.write_bytes(path.read_bytes())
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(Path(*[".."] * (len(name.parts) + 1), "blobs", blob.name))
    return root


def refused(store: HubStore) -> str:
    with pytest.raises(FormatError) as caught:
        store.manifest()
    return caught.value.reason


def test_all_files_of_a_clone_count_but_git(clone: Path) -> None:
    manifest = HubStore(path=clone).manifest()
    assert ".gitattributes" in [file.path for file in manifest.files]
    assert not [file for file in manifest.files if file.path.startswith(".git/")]
    assert manifest == hash_artifact(clone, "model")


def test_a_pointer_is_not_the_file(clone: Path) -> None:
    (clone / "weights" / "other.bin").write_bytes(POINTER)
    with pytest.raises(FormatError) as caught:
        HubStore(path=clone).manifest()
    assert caught.value.reason == "hub-lfs-pointer"
    assert caught.value.hint == "git lfs pull"
    (clone / "weights" / "other.bin").write_bytes(POINTER + b" " * 1024)
    HubStore(path=clone).manifest()


def test_a_snapshot_is_what_it_is_materialized(snapshot: Path, model: Path, tmp_path: Path) -> None:
    seen: list[Any] = []
    manifest = HubStore(path=snapshot).manifest(seen.append)
    materialize(snapshot, tmp_path / "folder")
    assert manifest == hash_artifact(tmp_path / "folder", "model") == hash_artifact(model, "model")
    assert seen[-1].files_done == len(manifest.files)
    (tmp_path / "link").symlink_to(snapshot)
    assert HubStore(path=tmp_path / "link").manifest() == manifest


def test_a_snapshot_is_copied(snapshot: Path, model: Path, tmp_path: Path) -> None:
    store = HubStore(path=snapshot)
    FolderStore(path=tmp_path / "out").receive(store.manifest(), store)
    assert hash_artifact(tmp_path / "out", "model") == hash_artifact(model, "model")


def test_links_out_of_the_cache_entry_are_refused(snapshot: Path, tmp_path: Path) -> None:
    secret = tmp_path / "hub" / "secret"
    secret.write_bytes(b"secret")
    (snapshot / "out.txt").symlink_to(secret)
    store = HubStore(path=snapshot)
    assert refused(store) == "hub-link-outside"
    with pytest.raises(FormatError) as caught:
        b"".join(store.read(FileEntry(path="out.txt", sha256="", size=6)))
    assert caught.value.reason == "store-link-outside"


def test_blobs_that_are_a_link_are_outside(snapshot: Path, tmp_path: Path) -> None:
    blobs = snapshot.parent.parent / "blobs"
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere")
    assert refused(HubStore(path=snapshot)) == "hub-link-outside"


def test_bundles_of_a_snapshot_are_links_too(snapshot: Path, bundle: Any, tmp_path: Path) -> None:
    blobs = snapshot.parent.parent / "blobs"
    (blobs / "b").write_bytes(bundle())
    (tmp_path / "outside.sigstore.json").write_bytes(b"secret")
    (snapshot / ".attestations").mkdir()
    (snapshot / ".attestations" / "a.sigstore.json").symlink_to("../../../blobs/b")
    (snapshot / ".attestations" / "b.sigstore.json").symlink_to(tmp_path / "outside.sigstore.json")
    assert [found.data for found in HubStore(path=snapshot).bundles()] == [bundle()]


def test_bundles_of_a_clone_are_no_links(clone: Path, bundle: Any) -> None:
    store = HubStore(path=clone)
    made = store.put(bundle(), name="a")
    assert Path(made).parent == clone / ".attestations"
    (clone / ".attestations" / "link.sigstore.json").symlink_to("../README.md")
    assert [found.data for found in store.bundles()] == [bundle()]


def test_the_cache_is_only_read(snapshot: Path, model: Path, bundle: Any) -> None:
    store = HubStore(path=snapshot)
    with pytest.raises(FormatError) as caught:
        store.put(bundle(), name="a")
    assert caught.value.reason == "hub-cache-read-only"
    assert "lamslsa copy" in (caught.value.hint or "")
    with pytest.raises(FormatError) as caught:
        store.receive(store.manifest(), FolderStore(path=model))
    assert caught.value.reason == "hub-cache-read-only"


def test_what_is_neither(model: Path, snapshot: Path) -> None:
    with pytest.raises(FormatError) as caught:
        HubStore(path=model).manifest()
    assert caught.value.reason == "hub-layout"
    with pytest.raises(FormatError) as caught:
        list(HubStore(path=snapshot.parent.parent).bundles())
    assert "snapshots" in (caught.value.hint or "")
    (model / "snapshots" / "abc").mkdir(parents=True)
    assert refused(HubStore(path=model / "snapshots" / "abc")) == "hub-layout"


def test_a_clone_gets_what_it_lacks(model: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    (clone / ".git").mkdir(parents=True)
    (clone / ".git" / "config").write_bytes(b"[core]")
    (clone / "config.json").write_bytes(b"{}")
    source = FolderStore(path=model)
    manifest = source.manifest()
    made = HubStore(path=clone).receive(manifest, source)
    assert made == f"hub:{clone}@sha256:{manifest.sha256}"
    assert HubStore(path=clone).manifest() == manifest
    assert (clone / ".git" / "config").read_bytes() == b"[core]"
    assert not clone.with_name("clone.partial").exists()
    HubStore(path=clone).receive(manifest, source)


@pytest.mark.parametrize("name", [".gitattributes", "config.json"])
def test_a_clone_with_other_files_is_left_alone(model: Path, tmp_path: Path, name: str) -> None:
    clone = tmp_path / "clone"
    (clone / ".git").mkdir(parents=True)
    (clone / name).write_bytes(b"mine")
    source = FolderStore(path=model)
    with pytest.raises(FormatError) as caught:
        HubStore(path=clone).receive(source.manifest(), source)
    assert caught.value.reason == "hub-clone-other-files"
    assert sorted(path.name for path in clone.iterdir()) == sorted([".git", name])


def test_a_digest_pins(clone: Path) -> None:
    store = HubStore(path=clone, pinned="0" * 64)
    assert store.reference == f"hub:{clone}@sha256:{'0' * 64}"
    assert refused(store) == "store-pinned"
    with pytest.raises(FormatError) as caught:
        store.receive(FolderStore(path=clone).manifest(), FolderStore(path=clone))
    assert caught.value.reason == "store-pinned"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (POINTER.replace(b"\n", b"\r\n"), "hub-lfs-pointer"),
        (POINTER.replace(b"git-lfs.github", b"hawser.github"), "hub-lfs-pointer"),
        (POINTER.replace(b"https://git-lfs.github.com/spec/v1", b"http://git-media.io/v/2"), "hub-lfs-pointer"),
        (b"/annex/objects/SHA256E-s12--abc\n", "hub-annex-pointer"),
        (b"/annex/objects/SHA256E-s12--abc", "hub-annex-pointer"),
    ],
)
def test_other_pointers_are_not_the_file_either(clone: Path, data: bytes, reason: str) -> None:
    (clone / "weights" / "other.bin").write_bytes(data)
    assert refused(HubStore(path=clone)) == reason


@pytest.mark.parametrize(
    "data", [b"version https://git-lfs.github.com/spec/", b"version 1\n", b"see /annex/objects/\n"]
)
def test_what_only_looks_like_a_pointer(clone: Path, data: bytes) -> None:
    (clone / "weights" / "other.bin").write_bytes(data)
    HubStore(path=clone).manifest()


@pytest.mark.parametrize("kind", ["clone", "snapshot"])
def test_bundles_behind_a_link_are_not_read(
    clone: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    root = clone if kind == "clone" else request.getfixturevalue("snapshot")
    (tmp_path / "private").mkdir()
    (root / ".attestations").symlink_to(tmp_path / "private")
    with pytest.raises(FormatError) as caught:
        list(HubStore(path=root).bundles())
    assert caught.value.reason == "store-attestations-link"


def test_a_clone_is_completed_wherever_it_was_interrupted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    (clone / ".git").mkdir(parents=True)
    source = FolderStore(path=model)
    unlink = os.unlink

    def once(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(os, "unlink", unlink)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "unlink", once)
    with pytest.raises(KeyboardInterrupt):
        HubStore(path=clone).receive(source.manifest(), source)
    HubStore(path=clone).receive(source.manifest(), source)
    assert HubStore(path=clone).manifest() == source.manifest()
    assert not clone.with_name("clone.partial").exists()


def test_what_cannot_be_written_is_said_before_anything_is_hashed(snapshot: Path, model: Path) -> None:
    class Unread(FolderStore):
        __slots__ = ()

        def manifest(self, report: Any = None) -> Any:
            raise AssertionError("hashed")

    with pytest.raises(FormatError) as caught:
        copy(Unread(path=model), HubStore(path=snapshot))
    assert caught.value.reason == "hub-cache-read-only"
