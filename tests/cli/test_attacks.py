"""The seven attacks of the demo: exit code, decisive reason, and the whole text against a golden file.

`pytest tests/cli/test_attacks.py --update-golden` writes the files anew: read the difference before it is committed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
Run = Any

TITLES = [
    "a file renamed",
    "accuracy edited and signed again",
    "evaluated on the training set",
    "evaluation signed by the trainer",
    "evidence of another run",
    "one weight byte flipped",
    "simulated where hardware is asked for",
]


def _normalise(text: str, chain: Any) -> str:
    """Digests, key ids, paths and measured numbers differ from run to run; words, rules and reasons do not."""
    text = text.replace(str(chain.folder), "<demo>")
    text = re.sub(r"[0-9a-f]{12,64}", "<hex>", text)
    text = re.sub(r"[A-Za-z0-9+/]{43}=", "<key id>", text)
    text = re.sub(r"\d+\.\d+", "<n>", text)
    return re.sub(r"─+", "─", re.sub(r"  +", "  ", text))


@pytest.mark.parametrize("title", TITLES)
def test_attack_is_refused(
    chain: Any, lamslsa: Run, tmp_path: Path, title: str, request: pytest.FixtureRequest
) -> None:
    (attack,) = (item for item in chain.attacks() if item.title == title)
    victim = chain.victim(attack, tmp_path)
    done = lamslsa("verify", victim, "--policy", chain.folder / attack.policy)
    assert done.returncode == attack.exit_code, done.stdout + done.stderr

    reasons = set(re.findall(r"^refused: .*? \[([a-z-]+)\]", done.stdout, flags=re.MULTILINE))
    assert attack.reason in reasons

    golden = GOLDEN / f"{title.replace(' ', '-')}.txt"
    text = _normalise(done.stdout.replace(str(tmp_path), "<demo>"), chain)
    if request.config.getoption("--update-golden"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_the_seven_are_the_demos_seven(chain: Any) -> None:
    assert sorted(attack.title for attack in chain.attacks()) == TITLES
