"""What every drawing says in the same words; text from attestations is made safe by whoever draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from lamslsa.graphs.interface import STANDINGS, Graph, Node, Signed, Standing, Step
from lamslsa.lineage import Artifact, Link

__all__ = [
    "NOT_VERIFIED",
    "SIMULATED",
    "beside",
    "called",
    "clipped",
    "counted",
    "name_of",
    "relation",
    "short",
    "signers",
    "standing",
    "tees",
]

NOT_VERIFIED: Final = (
    "NOT VERIFIED: this is what the bundles say of themselves, and anybody can have invented signers, TEEs and values"
)
SIMULATED: Final = "SIMULATED TEE: no hardware vouches for some of these statements"
_WORDS: Final[Mapping[Standing, str]] = {
    "qualifying": "qualifying",
    "authentic": "authentic",
    "not authentic": "NOT authentic",
    "claimed": "claimed, not verified",
}
_RELATIONS: Final = {"compared-with": "compared with", "overlaps-with": "overlaps with"}
_MOST_SIGNERS: Final = 8


def short(sha256: str) -> str:
    """The first twelve digits of a digest."""
    return sha256[:12]


def clipped(text: str, limit: int) -> str:
    """At most so many characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def name_of(graph: Graph, node: Node) -> str:
    """The first name of an artifact."""
    return node.names[0] if node.names else (graph.name if node.artifact == graph.model else "unnamed")


def called(artifact: Artifact, name: str) -> str:
    """Kind and name."""
    return f"{artifact.kind} {name}"


def relation(link: Link) -> str:
    """What the other artifact is to the subject; empty where the step says all there is to say."""
    words = [*([_RELATIONS[link.relation]] if link.relation in _RELATIONS else []), *_as(link.roles)]
    return ", ".join(words)


def _as(roles: tuple[str, ...]) -> list[str]:
    return [f"as {', '.join(roles)}"] if roles else []


def standing(step: Step) -> str:
    """How good the word is, and what is wrong with it."""
    words = [_WORDS[step.standing]]
    words += [] if step.reason is None else [f"[{step.reason}]"]
    words += [] if step.fault is None else [f"no lineage [{step.fault.reason}]"]
    return " ".join(words)


def signers(step: Step) -> str:
    """Everybody who signed, each with the trusted times of that signature."""
    words = [_signer(signed, dated=step.standing != "claimed") for signed in step.signed[:_MOST_SIGNERS]]
    more = len(step.signed) - _MOST_SIGNERS
    return "; ".join([*words, *([f"{more} more"] if more > 0 else [])]) or "nobody"


def _signer(signed: Signed, *, dated: bool) -> str:
    times = [f"{time.at:%Y-%m-%dT%H:%M:%SZ} by {time.source}" for time in signed.times[:_MOST_SIGNERS]]
    if times:
        return f"{signed.who} ({', '.join(times)})"
    return f"{signed.who} (no trusted time)" if dated else signed.who


def tees(step: Step) -> str:
    """The TEEs that vouch, simulation in plain sight."""
    return "; ".join(sorted({quote.words for quote in step.quotes})) or "none"


def counted(steps: Iterable[Step]) -> str:
    """How many attestations of each standing."""
    found = Counter(step.standing for step in steps)
    return ", ".join(f"{found[each]:,} {_WORDS[each]}" for each in STANDINGS if found[each])


def beside(graph: Graph) -> str:
    """What was there and is no part of the graph; empty where nothing was."""
    return ", ".join(f"{count:,} {words}" for words, count in graph.beside.items())
