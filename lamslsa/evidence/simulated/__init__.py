"""The simulated SGX platform: real formats and real cryptography under a root that is nobody's hardware."""

__all__: list[str] = []
