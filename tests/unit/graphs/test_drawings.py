"""DOT and Mermaid: the same boxes and arrows, and text from attestations that starts nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lamslsa.graphs import Form, View, of_bundles, render
from lamslsa.graphs.interface import Quote, Signed, Verdict
from lamslsa.lineage import Fault, Link
from lamslsa.testing import chain

HOSTILE = (
    'x"]; y [label="z',
    "a\nb\r\nc\u2028d",
    "\\",
    '\\"',
    "\\N\\G\\l",
    "&quot;];&lt;b&gt;&#34;",
    "<script>alert(1)</script>",
    '"); click n0 href "javascript:alert(1)"',
    '%%{init: {"securityLevel": "loose"}}%%',
    " %% comment\n",
    "`markdown **bold**`",
    "#quot;#59;#35;",
    "|pipe| --> n0",
    "end\nsubgraph s",
    "]]])))}}}",
    "\x1b[2J\u202e\u2066\x00\u200b\ufeff",
    ":::qualifying",
    "1. list",
)
_DOT_STRING = r'"(?:[^"\\]|\\[\\"n])*"'
_DOT_LINE = re.compile(
    rf"  (?:rankdir=LR|(?:node|edge) \[fontname={_DOT_STRING}, fontsize=\d+\]|label={_DOT_STRING}"
    rf"|[ns]\d+ \[shape=\w+, label={_DOT_STRING}(?:, color={_DOT_STRING}, style=\w+)?\]"
    rf"|[ns]\d+ -> [ns]\d+(?: \[(?:label={_DOT_STRING})?(?:, )?(?:style=dotted)?\])?);"
)
_SAFE = r"(?:[^\W_]|[ .,:/_\-()+=…⟨⟩]|<br/>)*"
_MERMAID_LINE = re.compile(
    r"  (?:classDef \w+ [\w:#,-]+"
    rf'|(?:about|[ns]\d+)(?:\[\("{_SAFE}"\)\]|\[\["{_SAFE}"\]\]|\["{_SAFE}"\]|\(\["{_SAFE}"\]\))(?::::\w+)?'
    rf'|[ns]\d+ (?:-->|-\.->)(?:\|"{_SAFE}"\|)? [ns]\d+)'
)


def _hostile(made: Any, text: str) -> Any:
    zero, one = made.artifact(0), made.artifact(1, "dataset")
    link = Link(relation="trained-on", source=zero, target=one, name=text, roles=(text,))
    step = made.step(1, zero, links=(link,), code=text, name=text, signed=(Signed(who=text),), reason=text)
    return made.graph(step, name=text)


def _dot_lines(text: str) -> list[str]:
    first, *lines, last = text.splitlines()
    assert (first, last) == ("digraph lineage {", "}")
    return lines


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_string_in_dot(made: Any, text: str) -> None:
    drawn = render(_hostile(made, text), form="dot")
    for line in _dot_lines(drawn):
        assert _DOT_LINE.fullmatch(line), line
    assert len(_dot_lines(drawn)) == 4 + 3 + 2
    assert all(char == "\n" or char.isprintable() for char in drawn)
    assert not re.search("&(?!amp;|lt;|gt;)", drawn)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_label_in_mermaid(made: Any, text: str) -> None:
    drawn = render(_hostile(made, text), form="mermaid")
    first, *lines = drawn.splitlines()
    assert first == "flowchart LR"
    for line in lines:
        assert _MERMAID_LINE.fullmatch(line), line
    assert len(lines) == 6 + 1 + 3 + 2
    assert "%%" not in drawn


@pytest.mark.parametrize(
    ("form", "arrow", "loose"), [("dot", r"(\w+) -> (\w+)", "style=dotted"), ("mermaid", r"(\w+) -\S+ (\w+)", "-.->")]
)
def test_arrows_follow_the_life_of_a_model(made: Any, form: Form, arrow: str, loose: str) -> None:
    graph = of_bundles(map(made.bundle, chain.census().values()), model=made.MODEL, name="census-mlp")
    drawn = render(graph, form=form)
    keys = {
        key: words
        for key, words in re.findall(r'^  ([ns]\d+)\W+(?:shape=\w+, label=")?(\w+ [\w-]+)', drawn, re.MULTILINE)
        if words.split()[0] in {"model", "dataset", "training", "evaluation", "datasheet"}
    }
    lines = [line for line in drawn.splitlines() if re.match(r"  [ns]\d+ -", line)]
    found = set()
    for line in lines:
        start, end = re.findall(r"\b[ns]\d+\b", line)
        found.add((keys[start], keys[end], loose in line))
    assert found == {
        ("training tabular-mlp", "model census-mlp", False),
        ("dataset census-train", "training tabular-mlp", False),
        ("model census-mlp", "evaluation tabular-evaluation", False),
        ("dataset census-test", "evaluation tabular-evaluation", False),
        ("datasheet tabular-dataset", "dataset census-train", True),
        ("datasheet tabular-dataset", "dataset census-test", True),
    }
    assert len(lines) == 7


@pytest.mark.parametrize("form", ["dot", "mermaid"])
def test_what_a_reader_has_to_know_stands_in_the_picture(made: Any, form: Form) -> None:
    zero = made.artifact(0)
    steps = [made.step(number, zero, standing="qualifying", quotes=(Quote(tee="tdx", simulated=True),))
             for number in range(30)]  # fmt: skip
    assert "NOT VERIFIED" in render(made.graph(*steps), form=form)
    accepting = Verdict(policy="p", policy_sha256="1" * 64, accepted=True, exit_code=0)
    refusing = Verdict(policy="p", policy_sha256="1" * 64, accepted=False, exit_code=5)
    for verdict, words in ((accepting, "a policy that accepts"), (refusing, "a policy that REFUSES")):
        drawn = render(made.graph(*steps, verdict=verdict, beside={"quotes": 2}), form=form)
        assert words in drawn
        assert "SIMULATED TEE" in drawn
        assert "tdx, SIMULATED" in drawn
        assert "10 more: 10 qualifying" in drawn
        assert "not shown: 10 attestations, 0 artifacts" in drawn
        assert "beside it: 2 quotes" in drawn
        assert "NOT VERIFIED" not in drawn


def test_standings_differ_in_form_and_colour(made: Any) -> None:
    zero = made.artifact(0)
    steps = [
        made.step(1, zero, standing="qualifying", quotes=()),
        made.step(2, zero, standing="qualifying", quotes=(Quote(tee="sgx", simulated=True),)),
        made.step(3, zero, standing="authentic"),
        made.step(4, zero, standing="not authentic"),
        made.step(5, zero, standing="claimed"),
        made.step(6, zero, standing="authentic", fault=Fault(reason="lineage-cycle", message="m")),
    ]
    graph = made.graph(*steps)
    found = re.findall(r'color="(#\w+)", style=(\w+)', render(graph, form="dot"))
    assert len(set(found)) == 5
    assert [style for _, style in found] == ["solid", *["dashed"] * 5]
    classes = re.findall(r":::(\w+)$", render(graph, form="mermaid"), re.MULTILINE)
    assert classes == ["qualifying", "simulated", "authentic", "forged", "claimed", "faulty"]
    assert set(re.findall(r"classDef (\w+)", render(graph, form="mermaid"))) == set(classes)


@pytest.mark.parametrize("form", ["dot", "mermaid"])
def test_a_circle_and_a_deep_chain_come_to_an_end(made: Any, form: Form) -> None:
    zero, one = made.artifact(0), made.artifact(1)
    round_again = render(made.graph(made.step(1, zero, one), made.step(2, one, zero)), form=form)
    assert len(re.findall(r"^  n\d", round_again, re.MULTILINE)) == 2 + 2
    deep = made.graph(*(made.step(number, made.artifact(number), made.artifact(number + 1)) for number in range(5000)))
    drawn = render(deep, form=form, view=View(depth=10))
    assert "not shown: 4,989 attestations, 4,990 artifacts" in drawn
    assert len(drawn.splitlines()) < 60
