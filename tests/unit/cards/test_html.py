from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamslsa.cards
from lamslsa.cards import render
from lamslsa.policy.appraisal import Appraisal

ALLOWED_TAGS = frozenset(
    re.findall(
        r"\w+",
        "a article b body caption code dd div dl dt figcaption figure footer g h1 h2 h3 h4 head header html li line "
        "main meta nav p path rect section span strong style svg table tbody td text th thead title tr ul",
    )
)
ALLOWED_ATTRIBUTES = frozenset(
    re.findall(
        r"[a-z0-9-]+",
        "aria-label aria-labelledby charset class content d data-label height href http-equiv id lang lengthadjust "
        "name role rx scope text-anchor textlength title transform viewbox width x x1 x2 y y1 y2",
    )
)
NASTY = (
    "<script>", "</style>", "</svg>", "<img src=x onerror=y>", '" onload="', "' x='", "&lt;", "&#60;", "-->", "]]>",
    "|", "`", "```", "~~~", "\n", "\r\n\r\n# ", "[x](http://x)", "![x](y)", "<https://x>", "www.x.org", "@x", "#1",
    ":x:", "*", "_", "\\", "\u202e", "\u2028", "✓ verified", "- ", "1. ", "> ", "$$", "\x00", "url(//x)", "=",
)  # fmt: skip
HOSTILE = st.lists(st.sampled_from(NASTY) | st.text(max_size=8), min_size=1, max_size=6).map("".join).filter(bool)


class Skeleton(HTMLParser):
    """Tags in order, attributes by tag, and text by the class of what it stands in."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.open: list[tuple[str, str]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.comments: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes.append((tag, found))
        if tag != "meta":
            self.open.append((tag, found.get("class", "")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(f"{tag}.{kind}" for tag, kind in self.open), data))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def shape(self) -> list[tuple[str, ...]]:
        """Tags with attribute names; what depends on the length of a text is left out."""
        names = [tuple(sorted({*found} - {"textlength", "lengthadjust"})) for _, found in self.attributes]
        return [(tag, *keys) for (tag, _), keys in zip(self.attributes, names, strict=True)]


@pytest.fixture(scope="module")
def page(accepted: Appraisal) -> str:
    return render(accepted, format="html")


@pytest.fixture(scope="module")
def refusal(refused: Appraisal) -> str:
    return render(refused, format="html")


@pytest.fixture(scope="module")
def plain_shape(sample: Any) -> list[tuple[str, ...]]:
    return Skeleton(render(sample.hostile("plain"), format="html")).shape()


def test_the_page_is_well_formed_and_made_of_known_parts(page: str, refusal: str) -> None:
    for each in (page, refusal):
        skeleton = Skeleton(each)
        assert skeleton.open == []
        assert {tag for tag, _ in skeleton.attributes} <= ALLOWED_TAGS
        assert {name for _, found in skeleton.attributes for name in found} <= ALLOWED_ATTRIBUTES


@settings(max_examples=40, deadline=None)
@given(text=HOSTILE)
def test_no_text_breaks_out(text: str, sample: Any, plain_shape: list[tuple[str, ...]]) -> None:
    page = render(sample.hostile(text), format="html")
    skeleton = Skeleton(page)
    assert skeleton.shape() == plain_shape
    assert skeleton.open == []
    assert skeleton.comments == []
    assert {tag for tag, _ in skeleton.attributes} <= ALLOWED_TAGS
    assert all(found["href"].startswith("#") for _, found in skeleton.attributes if "href" in found)
    assert "\u202e" not in page
    page.encode()


def test_no_name_carries_a_mark(sample: Any) -> None:
    page = render(sample.hostile("✓ verified"), format="html")
    marked = [(where, text) for where, text in Skeleton(page).texts if "✓" in text]
    for where, _ in marked:
        assert where[-1].startswith(("span.badge verified", "span.outcome satisfied", "text.", "figcaption."))


def test_the_page_loads_and_runs_nothing(page: str, refusal: str) -> None:
    css = resources.files("lamslsa.cards").joinpath("card.css").read_text(encoding="utf-8")
    assert "url(" not in css
    assert "@import" not in css
    assert "<" not in css
    for each in (page, refusal):
        assert "url(" not in each
        for tag, found in Skeleton(each).attributes:
            assert tag not in {"script", "link", "img", "iframe", "object", "use", "image", "base", "form"}
            assert not {"src", "srcset", "style", "action", "xlink:href"} & {*found}
            assert not any("//" in value for value in found.values())
            assert not any(name.startswith("on") for name in found)


def test_the_policy_of_the_page_comes_before_its_style(page: str) -> None:
    policy = (
        '<meta http-equiv="Content-Security-Policy" content="default-src &#x27;none&#x27;; '
        'style-src &#x27;unsafe-inline&#x27;; img-src data:">'
    )
    assert page.index(policy) < page.index("<style>")
    assert '<meta name="referrer" content="no-referrer">' in page


def test_addresses_are_text(page: str) -> None:
    assert "https://archive.ics.uci.edu/dataset/2/adult" in page
    hrefs = [found["href"] for tag, found in Skeleton(page).attributes if tag == "a"]
    identifiers = [found["id"] for _, found in Skeleton(page).attributes if "id" in found]
    assert hrefs
    assert {href.removeprefix("#") for href in hrefs} <= {*identifiers}
    assert len(identifiers) == len({*identifiers})


def test_tables_have_captions_and_pictures_words(page: str) -> None:
    skeleton = Skeleton(page)
    assert skeleton.tags.count("table") == skeleton.tags.count("caption") > 5
    pictures = [found for tag, found in skeleton.attributes if tag == "svg"]
    assert all(found["role"] == "img" and found["aria-label"] for found in pictures)
    assert "Training data census-train (verified) to Training tabular-training/1 (verified)" in page
    assert 'aria-label="Accuracy: 0.9400 (0.9267–0.9533)"' in page


def test_verdict_simulation_and_how_to_verify_stand_on_top(page: str, refusal: str) -> None:
    rules = page.index('id="rules"')
    for text in (
        "✓ Accepted",
        "Simulated TEE: no hardware vouches for these values.",
        "lamslsa verify MODEL --policy POLICY --at 2026-11-22T06:30:00Z",
        "proves nothing by itself",
    ):
        assert page.index(text) < rules
    assert refusal.index("✕ Refused · exit code 5") < refusal.index('id="rules"')
    assert "Accepted" not in refusal


def test_a_refusal_says_nearest_miss_and_what_mends_it(refusal: str) -> None:
    assert "expected an evaluation signed by auditor, got one signed by trainer" in refusal
    assert "have auditor sign the evaluation, or name trainer in the rule" in refusal
    assert "<code>signer</code>" in refusal
    assert "Set aside: not authentic, and nothing on this page comes from them" in refusal
    assert "expected a statement that a quote covers, got another (measure again)" in refusal
    assert "two trainings claim this model" in refusal


def _panel_of(page: str, text: str) -> tuple[str, ...]:
    (where,) = {where for where, data in Skeleton(page).texts if text in data}
    return tuple(each for each in where if ".panel" in each)


def test_values_stand_in_the_border_of_their_standing(page: str, refusal: str) -> None:
    assert _panel_of(page, "0.9060 (0.9008–0.9112)") == ("article.panel verified",)
    assert _panel_of(refusal, "0.9060 (0.9008–0.9112)") == ("article.panel unverified",)
    assert _panel_of(refusal, "24,720") == ("article.panel verified",)
    assert _panel_of(page, "avx512") == ("article.panel verified", "div.panel declared")
    for where, data in Skeleton(page).texts:
        if "CC-BY-4.0" in data:
            assert any(each == "div.panel declared" for each in where)


def test_the_observed_value_of_a_nearest_miss_is_marked(page: str, refusal: str) -> None:
    observed = r'data-label="Observed"><div>[^<]* <span class="badge unverified">○ not verified</span>'
    assert len(re.findall(observed, refusal)) == 2
    assert re.findall(observed, page) == []


def test_undefined_values_have_a_reason_and_no_bar(page: str) -> None:
    cell = re.search(r"<td[^>]*><div><div class=\"measure\">(<span[^>]*>undefined: no positive rows[^<]*)", page)
    assert cell is not None


def test_a_value_off_the_scale_has_no_bar(sample: Any) -> None:
    wire = sample.evaluation_wire()
    wire["metrics"] = [{"name": "loss", "samples": 3, "value": 7.25, "slice": {"sex": "Male"}}]
    metrics = sample.evaluated(wire)
    card = dataclasses.replace(sample.appraise(), attestations=(metrics,), qualifying=(metrics,))
    assert "7.2500 (no interval)" in render(card, format="html")
    assert 'class="whisker"' not in render(card, format="html")


def test_the_same_appraisal_gives_the_same_page(sample: Any, page: str) -> None:
    assert render(sample.appraise(), format="html") == page


def test_an_empty_appraisal_renders(sample: Any) -> None:
    page = render(sample.appraise(rules=(), attestations=(), qualifying=()), format="html")
    assert "exit code 4" in page
    assert page.count("No authentic statement says anything here.") == 3


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    full = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
    parts = [int(full[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_is_at_least_aa(scheme: int) -> None:
    css = resources.files("lamslsa.cards").joinpath("card.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", css.split(":root {")[1 + scheme]))
    tones = ("verified", "unverified", "declared", "refused")
    pairs = [(tone, ground) for tone in (*tones, "ink", "muted") for ground in ("paper", "panel")]
    pairs += [(tone, f"{tone}-wash") for tone in tones] + [("ink", f"{tone}-wash") for tone in tones]
    pairs.append(("ink", "track"))
    for text, ground in pairs:
        light, dark = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_exported_members() -> None:
    assert lamslsa.cards.__all__ == ["Format", "Renderer", "render"]


def test_an_unknown_format_is_a_bug(accepted: Appraisal) -> None:
    with pytest.raises(AssertionError):
        render(accepted, format="pdf")  # type: ignore[arg-type]


def test_a_long_name_pushes_no_digest_off_the_card(sample: Any) -> None:
    appraisal = sample.hostile("x" * 1000)
    for card in (render(appraisal, format="html"), render(appraisal, format="markdown")):
        assert f"sha256:{appraisal.policy_sha256}" in card
        assert f"sha256:{appraisal.policy_closure}" in card
        assert f"sha256:{appraisal.model}" in card
        assert "compared over 7 columns, also occur in" in card
