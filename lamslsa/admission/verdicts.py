"""Verdicts, and how long each is believed.

Rules:
- A verdict is kept under the policy that reached it, by its closure: another policy finds none of them.
- An acceptance is kept by the digest and the name of the model: the bytes are the same wherever they lie, and a policy
  sees no more of the place. A refusal is kept by the place, for a shorter time: who puts a model into a place without
  attestations must not be able to have it refused elsewhere.
- That somebody could not be reached is never kept.
- Times are those of a clock that only goes forward.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lamslsa._plain import plain
from lamslsa.admission.references import key, name_of
from lamslsa.errors import LamslsaError, UnavailableError
from lamslsa.policy import Appraisal
from lamslsa.store.oci import Reference

__all__ = ["Cache", "Verdict"]

_SHOWN_RULES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said about one model.

    Attributes:
        reason: of a refusal, for machines; empty of an acceptance.
        message: of a refusal, for people, with what to do.
        final: whether asking again at once would say the same; not where somebody could not be reached.
    """

    accepted: bool
    reason: str = ""
    message: str = ""
    final: bool = True

    @classmethod
    def of(cls, appraisal: Appraisal) -> Verdict:
        """The verdict that an appraisal comes to."""
        if appraisal.accepted:
            return cls(accepted=True)
        refused = [rule for rule in appraisal.rules if rule.outcome != "satisfied"]
        said = "; ".join(
            f"{plain(rule.name)} [{rule.reason}]: {plain(rule.message)}" for rule in refused[:_SHOWN_RULES]
        )
        more = f"; and {len(refused) - _SHOWN_RULES} more" if len(refused) > _SHOWN_RULES else ""
        return cls(
            accepted=False,
            reason="model-refused",
            message=f"expected a model that {plain(appraisal.policy_name)} accepts, got {said or 'no rule'}{more}",
        )

    @classmethod
    def refused(cls, error: LamslsaError) -> Verdict:
        """The refusal that an error is."""
        hint = f"; {plain(error.hint)}" if error.hint else ""
        return cls(
            accepted=False,
            reason=error.reason,
            message=f"{plain(str(error))} [{error.reason}]{hint}",
            final=not isinstance(error, UnavailableError),
        )


class Cache:
    """Verdicts that are still believed; threads may share it.

    Args:
        accepted_s: how long an acceptance is kept, in seconds; 0 for not at all.
        refused_s: how long a refusal is kept, in seconds.
        size: the most verdicts; the one that was not asked for longest goes first.
        clock: in seconds, never going back.
    """

    def __init__(
        self,
        *,
        accepted_s: float = 300.0,
        refused_s: float = 15.0,
        size: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lasts = {True: accepted_s, False: refused_s}
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[float, Verdict]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, model: Reference, closure: str) -> Verdict | None:
        """What is known of a model under a policy, by its closure; None where nothing is any more."""
        now = self._clock()
        with self._lock:
            for name in ((_model(model), closure), (key(model), closure)):
                found = self._kept.get(name)
                if found is None:
                    continue
                until, verdict = found
                if now < until:
                    self._kept.move_to_end(name)
                    return verdict
                del self._kept[name]
        return None

    def put(self, model: Reference, closure: str, verdict: Verdict) -> None:
        """Keep a verdict, if it is one to be kept."""
        lasts = self._lasts[verdict.accepted]
        if not verdict.final or lasts <= 0:
            return
        name = (_model(model) if verdict.accepted else key(model), closure)
        with self._lock:
            self._kept[name] = (self._clock() + lasts, verdict)
            self._kept.move_to_end(name)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)


def _model(reference: Reference) -> str:
    """A model as a policy sees it; a place never looks so, for it has a host and a slash."""
    return f"{name_of(reference)}@{reference.digest}"
