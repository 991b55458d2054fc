"""NVIDIA GPUs: reports collected, parsed, verified, and compared with the manufacturer's manifests; see `collect`."""

__all__: list[str] = []
