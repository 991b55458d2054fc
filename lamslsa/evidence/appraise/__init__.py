"""Is a platform acceptable? Authentic claims against the terms of a policy.

Rules:
- Silence denies: no accepted TCB status, no measurement, no pinned root or no minimum of what an SEV-SNP processor runs
  is a refusal, and so is not knowing how the platform stands now.
- Hardware is what chains to a vendor's root. A simulated platform is accepted only by terms that say so and pin its
  root, and such terms accept no hardware: a rehearsal and the real thing cannot be mixed up.
- A measurement vouches for what its reference value lists, and for nothing else.
- What a list denies is refused whatever else accepts it.
- The result is a value: an empty tuple accepts. All refusals are given, in the order of `STEPS`.
"""

from lamslsa.evidence.appraise._steps import STEPS, appraise
from lamslsa.evidence.appraise.terms import (
    AcceptedCode,
    AdvisoryTerms,
    Denied,
    GpuTerms,
    PlatformTerms,
    Refusal,
    Vouched,
    Vouches,
)

__all__ = [
    "STEPS",
    "AcceptedCode",
    "AdvisoryTerms",
    "Denied",
    "GpuTerms",
    "PlatformTerms",
    "Refusal",
    "Vouched",
    "Vouches",
    "appraise",
]
