"""Simulated platforms: real formats and real cryptography under roots that are nobody's hardware."""

__all__: list[str] = []
