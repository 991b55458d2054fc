"""Where a list of referrers goes on, and where it does not."""

from __future__ import annotations

import time

import pytest

from lamslsa.store.oci import referrers


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('</a?page=2>; rel="next"', "/a?page=2"),
        ("</a>; rel=next", "/a"),
        ('</a>;REL = "Next"', "/a"),
        ('</first>; rel="prev", </second>; title="b"; rel="next"', "/second"),
        ('</first>; rel="prev" </second>; rel="next"', "/second"),
        ('</a>; rel="prev"', None),
        ('</a>, rel="next"', None),
        ("/a; rel=next", None),
        ("", None),
    ],
)
def test_the_next_page(link: str, expected: str | None) -> None:
    found = referrers._NEXT.search(link)
    assert (found[1] if found else None) == expected


@pytest.mark.parametrize("text", ["<>;", "<>; rel=", "<", "<>;rel ", "<a>; "])
def test_a_header_that_goes_on_and_on(text: str) -> None:
    started = time.thread_time()
    assert referrers._NEXT.search(text * (65_000 // len(text))) is None
    assert time.thread_time() - started < 1
