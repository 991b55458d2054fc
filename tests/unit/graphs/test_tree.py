"""The tree for the terminal."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from lamslsa.graphs import View, of_bundles, render
from lamslsa.graphs.interface import Quote, Signed, Verdict
from lamslsa.lineage import Fault, Link
from lamslsa.sign import TrustedTime
from lamslsa.testing import chain

VERDICT = Verdict(policy="p", policy_sha256="1" * 64, accepted=True, exit_code=0)
HOSTILE = 'x"];\n\r\x1b[2J\u202e\u2066\x00<script>|`%%{init}'


def _lines(text: str) -> list[str]:
    """The table, without what stands before and after it."""
    return text.split("\n\n")[1].splitlines()[2:]


def _first(line: str) -> str:
    return re.split(r"  +(?=[0-9a-f]{12})", line)[0]


def test_the_census_chain(made: Any) -> None:
    graph = of_bundles(map(made.bundle, chain.census().values()), model=made.MODEL, name="census-mlp")
    text = render(graph, form="tree")
    assert [_first(line) for line in _lines(text)] == [
        "model census-mlp",
        "├─ training tabular-mlp/1",
        "│  └─ as train: dataset census-train [1]",
        "│     └─ datasheet tabular-dataset/1",
        "└─ evaluation tabular-evaluation/1",
        "   └─ dataset census-test",
        "      └─ datasheet tabular-dataset/1",
        "         └─ overlaps with: dataset census-train → [1]",
    ]
    assert text.endswith("\nNOT VERIFIED: this is what the bundles say of themselves, and anybody can have invented "
                         "signers, TEEs and values\n")  # fmt: skip
    assert "policy  none: nothing here is verified\n" in text


def test_columns_are_aligned(made: Any) -> None:
    graph = of_bundles(map(made.bundle, chain.census().values()), model=made.MODEL, name="census-mlp")
    lines = render(graph, form="tree").split("\n\n")[1].splitlines()
    starts = [match.start() for match in re.finditer("─+", lines[1])]
    for line in lines[2:]:
        for start in starts[1:]:
            assert line[start - 1 : start] in {" ", ""}
        assert re.match("[0-9a-f]{12}", line[starts[1] :])
    assert [lines[0][start:].split("  ")[0] for start in starts[1:]] == ["digest", "signed by", "TEE", "standing"]


def test_a_shared_artifact_is_described_once_where_the_way_is_shortest(made: Any) -> None:
    """The model comes of 1 and 2, 1 of 2 as well: 2 is described under the model."""
    zero, one, two, three = (made.artifact(number) for number in range(4))
    graph = made.graph(made.step(1, zero, one, two), made.step(2, one, two), made.step(3, two, three))
    assert [_first(line) for line in _lines(render(graph, form="tree"))] == [
        "model m0",
        "└─ transform quantize/1",
        "   ├─ model m1",
        "   │  └─ transform quantize/1",
        "   │     └─ model m2 → [1]",
        "   └─ model m2 [1]",
        "      └─ transform quantize/1",
        "         └─ model m3",
    ]


def test_a_circle_comes_to_an_end(made: Any) -> None:
    zero, one = made.artifact(0), made.artifact(1)
    graph = made.graph(made.step(1, zero, one, zero), made.step(2, one, zero, one))
    assert [_first(line) for line in _lines(render(graph, form="tree"))] == [
        "model m0 [1]",
        "└─ transform quantize/1",
        "   ├─ model m1 [2]",
        "   │  └─ transform quantize/1",
        "   │     ├─ model m0 → [1]",
        "   │     └─ model m1 → [2]",
        "   └─ model m0 → [1]",
    ]


def test_one_artifact_named_twice_by_one_attestation(made: Any) -> None:
    zero, one = made.artifact(0), made.artifact(1)
    links = tuple(
        Link(relation=relation, source=zero, target=one, name="m1", roles=("r",))
        for relation in ("compared-with", "derived-from")
    )
    graph = made.graph(made.step(1, zero, links=links), made.step(2, one))
    assert [_first(line) for line in _lines(render(graph, form="tree"))] == [
        "model m0",
        "└─ transform quantize/1",
        "   ├─ compared with, as r: model m1 [1]",
        "   │  └─ transform quantize/1",
        "   └─ as r: model m1 → [1]",
    ]


def test_depth_is_limited_and_the_rest_told(made: Any) -> None:
    graph = made.graph(*(made.step(number, made.artifact(number), made.artifact(number + 1)) for number in range(10)))
    text = render(graph, form="tree", view=View(depth=2))
    assert [_first(line) for line in _lines(text)] == [
        "model m0",
        "└─ transform quantize/1",
        "   └─ model m1",
        "      └─ transform quantize/1",
        "         └─ model m2",
        "            └─ transform quantize/1",
        "               └─ … 1 more artifacts",
    ]
    assert "not shown: 7 attestations, 8 artifacts; see --depth and --limit, or --as json\n" in text


def test_attestations_are_limited_and_the_rest_told(made: Any) -> None:
    zero = made.artifact(0)
    steps = [made.step(number, zero, standing="authentic") for number in range(3)]
    steps += [made.step(number, zero, standing="not authentic", reason="signature-key") for number in range(3, 1000)]
    text = render(made.graph(*steps, verdict=VERDICT), form="tree", view=View(limit=2))
    assert _lines(text)[-1] == "└─ … 998 more: 1 authentic, 997 NOT authentic"
    assert "not shown: 998 attestations, 0 artifacts" in text


def test_artifacts_of_one_attestation_are_limited(made: Any) -> None:
    graph = made.graph(made.step(1, made.artifact(0), *(made.artifact(number) for number in range(1, 30))))
    text = render(graph, form="tree", view=View(limit=3))
    assert _lines(text)[-1].strip() == "└─ … 26 more artifacts"
    assert "not shown: 0 attestations, 26 artifacts" in text


def test_nothing_is_left_out_of_a_small_graph(made: Any) -> None:
    assert "not shown" not in render(made.graph(made.step(1, made.artifact(0))), form="tree")


def test_standings_times_and_simulation(made: Any) -> None:
    zero = made.artifact(0)
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    dated = Signed(who="auditor", times=(TrustedTime(at=at, source="timestamp"),))
    graph = made.graph(
        made.step(1, zero, standing="qualifying", signed=(dated,), quotes=(Quote(tee="sgx", simulated=True),)),
        made.step(2, zero, standing="authentic", signed=(Signed(who="a"), Signed(who="b")), quotes=()),
        made.step(3, zero, standing="not authentic", reason="signature-key", signed=()),
        made.step(4, zero, standing="authentic", fault=Fault(reason="lineage-cycle", message="m")),
        verdict=VERDICT,
        beside={"quotes": 3},
    )
    text = render(graph, form="tree")
    rows = [re.split("  +", line)[2:] for line in _lines(text)[1:]]
    assert rows == [
        ["auditor (2026-01-02T03:04:05Z by timestamp)", "sgx, SIMULATED", "qualifying"],
        ["a (no trusted time); b (no trusted time)", "none", "authentic"],
        ["nobody", "sgx, not verified", "NOT authentic [signature-key]"],
        ["somebody (no trusted time)", "sgx, not verified", "authentic no lineage [lineage-cycle]"],
    ]
    assert text.endswith("beside it: 3 quotes\nSIMULATED TEE: no hardware vouches for some of these statements\n")


@pytest.mark.parametrize(("accepted", "code", "words"), [(True, 0, "ACCEPTED"), (False, 5, "REFUSED (exit code 5)")])
def test_the_verdict_stands_at_the_head(made: Any, accepted: bool, code: Any, words: str) -> None:
    verdict = Verdict(policy="p", policy_sha256="1" * 64, accepted=accepted, exit_code=code, warnings=("look\x1b",))
    text = render(made.graph(verdict=verdict), form="tree")
    assert f"policy  p  sha256:{'1' * 64}\n        {words}\n" in text
    assert "warning: look\\x1b\n" in text
    assert "NOT VERIFIED" not in text


def test_colour_only_where_it_is_wanted_and_no_column_moves(made: Any) -> None:
    graph = made.graph(made.step(1, made.artifact(0)), made.step(2, made.artifact(0), standing="qualifying"))
    plain, coloured = render(graph, form="tree"), render(graph, form="tree", view=View(colour=True))
    assert "\x1b" not in plain
    assert "\x1b[1;32mqualifying\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_hostile_text_stays_in_its_line(made: Any) -> None:
    zero, one = made.artifact(0), made.artifact(1)
    link = Link(relation="trained-on", source=zero, target=one, name=HOSTILE, roles=(HOSTILE,))
    changes: dict[str, Any] = {"code": HOSTILE * 100, "name": HOSTILE, "signed": (Signed(who=HOSTILE * 100),)}
    graph = made.graph(made.step(1, zero, links=(link,), **changes), name=HOSTILE)
    text = render(graph, form="tree")
    assert all(char == "\n" or char.isprintable() for char in text)
    assert len(_lines(text)) == 3
    assert max(map(len, text.splitlines())) < 1500


def test_fifty_signers_are_counted(made: Any) -> None:
    signed = tuple(Signed(who=f"k{number}") for number in range(50))
    text = render(made.graph(made.step(1, made.artifact(0), signed=signed)), form="tree")
    assert "k7; 42 more" in text


def test_a_graph_of_many_is_drawn_without_recursion_and_within_bounds(made: Any) -> None:
    """Deeper than Python's recursion limit: lines no longer than the depth allows, however much there is."""
    deep = made.graph(*(made.step(number, made.artifact(number), made.artifact(number + 1)) for number in range(5000)))
    text = render(deep, form="tree", view=View(depth=100))
    assert len(_lines(text)) == 2 * 100 + 3
    assert max(map(len, text.splitlines())) < 1000
    wide = made.graph(*(made.step(number, made.artifact(0), made.artifact(number + 1)) for number in range(5000)))
    assert len(_lines(render(wide, form="tree"))) == 1 + 2 * 20 + 1
    assert len(_lines(render(wide, form="tree", view=View(limit=10_000)))) == 1 + 2 * 5000
