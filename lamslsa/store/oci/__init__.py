"""Artifacts and bundles in OCI registries."""

from lamslsa.store.oci.options import Options
from lamslsa.store.oci.reference import Reference
from lamslsa.store.oci.store import OciStore

__all__ = ["OciStore", "Options", "Reference"]
