from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.cards import render
from lamslsa.cards._inline import quoted
from lamslsa.policy.appraisal import Appraisal

NASTY = (
    "<script>", "<!--", "|", "`", "```", "~~~", "\n", "\r\n\r\n# ", "[x](http://x)", "![x](y)", "<https://x>",
    "http://x", "www.x.org", "x.org", "a@b.c", "@x", "#1", ":x:", "*", "_", "__", "\\", "\\|", "&#124;", "\u202e",
    "\u2028", "✓ verified", "- ", "1. ", "+ ", "> ", "$$", "\x00", "=", "---", "\t", "    ",
)  # fmt: skip
HOSTILE = st.lists(st.sampled_from(NASTY) | st.text(max_size=8), min_size=1, max_size=6).map("".join).filter(bool)
CODE = re.compile(r"`[^`]*`")


def _shape(text: str) -> list[tuple[int, int, str]]:
    """Per line: table borders, emphasis, and how it begins."""
    shape = []
    fenced = False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        bare = "" if fenced else CODE.sub("", line)
        shape.append((line.count("|"), bare.count("*"), re.match(r"[#>| -]*", line)[0] if line else ""))  # type: ignore[index]
    return shape


@pytest.fixture(scope="module")
def text(accepted: Appraisal) -> str:
    return render(accepted, format="markdown")


@pytest.fixture(scope="module")
def refusal(refused: Appraisal) -> str:
    return render(refused, format="markdown")


@pytest.fixture(scope="module")
def plain_shape(sample: Any) -> list[tuple[int, int, str]]:
    return _shape(render(sample.hostile("plain"), format="markdown"))


@settings(max_examples=40, deadline=None)
@given(hostile=HOSTILE)
def test_no_text_breaks_out(hostile: str, sample: Any, plain_shape: list[tuple[int, int, str]]) -> None:
    card = render(sample.hostile(hostile), format="markdown")
    assert _shape(card) == plain_shape
    before, tree, after = re.split(r"```(?:text)?\n", card)
    assert "`" not in tree
    bare = CODE.sub("", before + after)
    assert not re.search(r"[<\[\]\\@&$~`\x00\u202e\u2028\r\t]|://|www\.|:[a-z]|\b_|_\b", bare)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("0.8549 (0.8494–0.8602), n 16,281", "0.8549 (0.8494–0.8602), n 16,281"),
        ("demographic_parity_difference by sex", "demographic_parity_difference by sex"),
        ("ingredient: census-train", "ingredient: census-train"),
        ("tabular-evaluation/1", "tabular-evaluation/1"),
        ("<b>", "`<b>`"),
        ("a|b", "`a⟨U+007C⟩b`"),
        ("`x`", "`⟨U+0060⟩x⟨U+0060⟩`"),
        ("_x_", "`_x_`"),
        ("evil.com", "`evil.com`"),
        ("mail me@x.org", "`mail me@x.org`"),
        (":white_check_mark:", "`:white_check_mark:`"),
        ("- item", "`- item`"),
        ("1. item", "`1. item`"),
        ("x\ny", "x y"),
        ("", "(empty)"),
        ("  x  ", "x"),
        ("trailing\\", "`trailing\\`"),
    ],
)
def test_text_is_prose_or_code(raw: str, expected: str) -> None:
    assert quoted(raw) == expected


def test_values_carry_the_mark_of_their_standing(text: str, refusal: str) -> None:
    assert "| Accuracy | all rows | ✓ 0.8549 (0.8495–0.8603) | 16,281 | 95 % Wilson |" in text
    assert "| Accuracy | all rows | ○ 0.8549 (0.8495–0.8603) | 16,281 | 95 % Wilson |" in refusal
    assert "| license | ✎ CC-BY-4.0 |" in text
    assert "| cpu | ✎ Intel(R) Xeon(R) Processor |" in text
    assert "| Female | Other | 54 | ✓ 0.9000 (0.7775–1.0000) | ✓ undefined: no positive rows in this slice |" in text
    assert "n 16,281 (○ not verified) |" in refusal
    assert "○ not verified)" not in text


def test_the_legend_stands_before_the_rules(text: str) -> None:
    top = text[: text.index("## Rules")]
    for mark in ("**✓ verified**", "**○ not verified**", "**✎ declared**"):
        assert mark in top
    assert "> **⚠ Simulated TEE: no hardware vouches for these values.**" in top
    assert "> **✓ ACCEPTED**" in top
    assert "`lamslsa verify MODEL --policy POLICY --at 2026-11-22T06:30:00Z`" in top


def test_a_refusal_says_nearest_miss_and_what_mends_it(refusal: str) -> None:
    assert "> **✕ REFUSED** (exit code 5)" in refusal
    assert "  - **Nearest miss:** expected an evaluation signed by auditor, got one signed by trainer" in refusal
    assert "  - **To mend it:** have auditor sign the evaluation, or name trainer in the rule" in refusal
    assert "## Set aside" in refusal
    assert "ACCEPTED" not in refusal


def test_lineage_is_a_tree(text: str) -> None:
    tree = re.findall(r"```text\n(.*)\n```", text, re.DOTALL)[0].split("\n")
    assert [line.partition(":")[0] for line in tree] == [
        "✓ Model",
        "├─ ✓ Training",
        "│  └─ ✓ Training data",
        "└─ ✓ Evaluation",
        "   └─ ✓ Test data",
        "✓ overlap",
    ]


def test_the_same_appraisal_gives_the_same_text(sample: Any, text: str) -> None:
    assert render(sample.appraise(), format="markdown") == text


def test_an_empty_appraisal_renders(sample: Any) -> None:
    card = render(sample.appraise(rules=(), attestations=(), qualifying=()), format="markdown")
    assert "(exit code 4)" in card
    assert card.count("No authentic statement says anything here.") == 3
