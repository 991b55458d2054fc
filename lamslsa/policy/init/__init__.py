"""``lamslsa policy init``: a policy out of attestations that verify, for somebody to review.

Rules:
- What is written is what was verified with: identities and platforms are read back out of the very text.
- The text is loaded and appraised before anybody gets it: it accepts what it was made from, or there is none.
- Names that statements chose are escaped where they count, and replaced where the format has no room for them.
- The same input and the same times give the same bytes.
"""

from lamslsa.policy.init.draft import Draft, DraftedPolicy
from lamslsa.policy.init.trust import IdentityWanted, PlatformWanted, TrustWanted

__all__ = ["Draft", "DraftedPolicy", "IdentityWanted", "PlatformWanted", "TrustWanted"]
