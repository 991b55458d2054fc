from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from lamslsa.artifact import hash_artifact, materialize
from lamslsa.errors import FormatError


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot as in a Hugging Face cache: links to blobs beside it."""
    (tmp_path / "cache" / "blobs").mkdir(parents=True)
    (tmp_path / "cache" / "blobs" / "1").write_bytes(b"weights" * 300_000)
    (tmp_path / "cache" / "blobs" / "2").write_text("{}")
    root = tmp_path / "cache" / "snapshots" / "main"
    (root / "onnx").mkdir(parents=True)
    (root / "model.safetensors").symlink_to("../../blobs/1")
    (root / "onnx" / "config.json").symlink_to("../../../blobs/2")
    (root / "README.md").write_text("# model")
    return root


def refused(source: Path, target: Path) -> str:
    before = sorted(target.parent.iterdir()) if target.parent.is_dir() else []
    with pytest.raises(FormatError) as caught:
        materialize(source, target)
    assert (sorted(target.parent.iterdir()) if target.parent.is_dir() else []) == before
    return caught.value.reason


def test_a_snapshot_becomes_a_folder_with_an_identity(snapshot: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        hash_artifact(snapshot, "model")
    materialize(snapshot, tmp_path / "copy")
    manifest = hash_artifact(tmp_path / "copy", "model")
    assert [file.path for file in manifest.files] == ["README.md", "model.safetensors", "onnx/config.json"]
    for file in manifest.files:
        assert not (tmp_path / "copy" / file.path).is_symlink()
        assert (tmp_path / "copy" / file.path).read_bytes() == (snapshot / file.path).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "copy"]


def test_a_folder_without_links_keeps_its_identity(tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b.bin").write_text("1")
    (tmp_path / "root" / "empty.bin").write_text("")
    (tmp_path / "root" / ".attestations").mkdir()
    (tmp_path / "root" / ".attestations" / "a.sigstore.json").write_text("{}")
    materialize(tmp_path / "root", tmp_path / "copy")
    assert hash_artifact(tmp_path / "copy", "model") == hash_artifact(tmp_path / "root", "model")
    assert not (tmp_path / "copy" / ".attestations").exists()


def test_a_target_inside_the_source_is_no_part_of_the_copy(snapshot: Path) -> None:
    materialize(snapshot, snapshot / "copy")
    assert len(hash_artifact(snapshot / "copy", "model").files) == 3


def test_the_permissions_are_those_of_a_new_folder(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    materialize(snapshot, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_target_that_exists_is_refused(make: object, snapshot: Path, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path / "copy")
    assert refused(snapshot, tmp_path / "copy") == "output-exists"


def test_a_target_below_a_file_is_refused(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert refused(snapshot, tmp_path / "file" / "copy") == "materialize-write"


def test_a_link_to_a_folder_is_refused(snapshot: Path, tmp_path: Path) -> None:
    (snapshot / "blobs").symlink_to("../../blobs")
    assert refused(snapshot, tmp_path / "copy") == "artifact-link-folder"


def test_a_dangling_link_is_refused(snapshot: Path, tmp_path: Path) -> None:
    (snapshot / "gone").symlink_to("../../blobs/3")
    assert refused(snapshot, tmp_path / "copy") == "artifact-link-dangling"


def test_a_special_file_is_refused(snapshot: Path, tmp_path: Path) -> None:
    os.mkfifo(snapshot / "pipe")
    assert refused(snapshot, tmp_path / "copy") == "artifact-special"
    (snapshot / "pipe").unlink()
    (snapshot / "zero").symlink_to("/dev/zero")
    assert refused(snapshot, tmp_path / "copy") == "artifact-special"


def test_paths_that_no_artifact_can_have_are_refused(snapshot: Path, tmp_path: Path) -> None:
    (snapshot / "readme.MD").write_text("1")
    assert refused(snapshot, tmp_path / "copy") == "path-collision"


def test_a_source_that_is_no_folder_is_refused(snapshot: Path, tmp_path: Path) -> None:
    assert refused(snapshot / "README.md", tmp_path / "copy") == "artifact-not-folder"
    assert refused(snapshot / "nothing", tmp_path / "copy") == "artifact-missing"


def test_a_file_whose_size_is_not_what_the_system_says_is_refused(snapshot: Path, tmp_path: Path) -> None:
    (snapshot / "version").symlink_to("/proc/version")
    assert refused(snapshot, tmp_path / "copy") == "artifact-changed"


def test_a_full_disk_leaves_nothing_behind(snapshot: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, before[1]))
    try:
        assert refused(snapshot, tmp_path / "copy") == "materialize-write"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
