"""AWS Nitro Enclaves: parse attestation documents, verify them."""

__all__: list[str] = []
