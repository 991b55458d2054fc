"""Identity of files: an artifact is a set of files, and its name is the digest of their canonical manifest."""

from __future__ import annotations

from lamslsa.artifact.hashing import Progress, hash_artifact
from lamslsa.artifact.manifest import FileEntry, Kind, Manifest
from lamslsa.artifact.materialize import materialize
from lamslsa.artifact.reader import VerifiedArtifact, VerifiedFile, read_verified

__all__ = [
    "FileEntry",
    "Kind",
    "Manifest",
    "Progress",
    "VerifiedArtifact",
    "VerifiedFile",
    "hash_artifact",
    "materialize",
    "read_verified",
]
