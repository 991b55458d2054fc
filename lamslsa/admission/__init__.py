"""At the gate of a cluster: which models a workload brings, and whether a policy accepts each of them.

A model counts only where the cluster's runtime is bound to the digest that was judged. What a workload says about
itself, in annotations, labels or names, decides nothing.
"""

from __future__ import annotations

__all__: list[str] = []
