"""What registries are known to do differently from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Behaviour"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One registry's ways; the defaults are those of the distribution specification.

    Attributes:
        referrers: ``api`` as specified; ``none`` answers 404, so that clients keep the fallback tag; ``lies`` has no
            API either and yet answers ``OCI-Subject``, as ECR did.
        reported_type: what a listing of referrers gives as artifactType: the manifest's own, or always the media type
            of its config.
        filters: whether a listing of referrers is filtered by artifactType when asked to be.
        page: entries in a page of referrers or tags at most; 0 for all at once.
        conditional: whether ``If-Match`` and ``If-None-Match`` are honoured when a manifest is written.
        mounts: whether a blob of another repository is mounted; otherwise an upload is begun instead.
        single_post: whether a blob can be uploaded by one POST; otherwise an upload is begun instead.
        chunk_min_length: the ``OCI-Chunk-Min-Length`` that is announced and insisted on; 0 for none.
        locations: whether a Location is a path or a URL; ``stateful`` is a URL with a query that changes with each
            request, and without which an upload is refused.
        deletes: whether manifests, tags and blobs can be deleted; otherwise 405.
        max_manifest: the size in bytes above which a manifest is refused.
        too_large: the status that such a manifest is refused with.
    """

    referrers: Literal["api", "none", "lies"] = "api"
    reported_type: Literal["own", "config"] = "own"
    filters: bool = True
    page: int = 0
    conditional: bool = True
    mounts: bool = True
    single_post: bool = True
    chunk_min_length: int = 0
    locations: Literal["relative", "absolute", "stateful"] = "relative"
    deletes: bool = True
    max_manifest: int = 4 * 1024 * 1024
    too_large: Literal[400, 413] = 413
