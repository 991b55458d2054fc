from __future__ import annotations

import pytest

from lamslsa.cards import _text
from lamslsa.cards._markup import element, escape, join, own


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand more", "two lines and more"),
        ("a\u00a0\u2003\u2028b", "a b"),
        ("", "(empty)"),
        (" \n ", "(empty)"),
        ("\x00\x1b[31m", "⟨U+0000⟩⟨U+001B⟩[31m"),
        ("gnp\u202e.exe", "gnp⟨U+202E⟩.exe"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("\ue000\U000e0041", "⟨U+E000⟩⟨U+E0041⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("✓ verified ✔", "⟨U+2713⟩ verified ⟨U+2714⟩"),
        ("○✎✕", "⟨U+25CB⟩⟨U+270E⟩⟨U+2715⟩"),
        ("a\u0300\u0301\u0302", "a\u0300\u0301⟨U+0302⟩"),
        ("שלום 12", "\u2068שלום 12\u2069"),
    ],
)
def test_text_is_made_fit_to_print(text: str, expected: str) -> None:
    assert _text.clean(text) == expected


def test_text_is_capped() -> None:
    assert _text.clean("x" * 10_000) == "x" * (_text.MAX_TEXT - 1) + "…"
    assert len(_text.clean("\u202e" * 10_000)) == _text.MAX_TEXT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.85491, "0.8549"),
        (0.0, "0.0000"),
        (1.0, "1.0000"),
        (-0.25, "-0.2500"),
        (3e-7, "3.000e-07"),
        (1e300, "1.000e+300"),
    ],
)
def test_numbers_have_one_spelling(value: float, expected: str) -> None:
    assert _text.number(value) == expected


def test_element_escapes_children_and_attributes() -> None:
    markup = element("p", {"title": "\"'<>&", "class": None, "x": 1.50}, "<b>", element("i", {}, "&amp;"))
    assert markup == '<p title="&quot;&#x27;&lt;&gt;&amp;" x="1.5">&lt;b&gt;<i>&amp;amp;</i></p>'


def test_only_own_words_keep_the_marks() -> None:
    assert join((own("✓ <"), "✓ <"), " & ") == "✓ &lt; &amp; ⟨U+2713⟩ &lt;"
    assert escape(own("&")) == "&amp;"
