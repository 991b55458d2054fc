"""Intel TDX: parse quotes and boot event logs, verify them."""

__all__: list[str] = []
