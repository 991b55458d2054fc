"""AMD SEV-SNP: parse reports and their collateral, verify them."""

__all__: list[str] = []
