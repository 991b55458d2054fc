"""Intel SGX: parse quotes, verify them."""

__all__: list[str] = []
