"""Identities in certificates, and terms on them: every field read, every field compared."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
import re
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from lamslsa._der import element
from lamslsa.errors import FormatError
from lamslsa.sign.keyless import FulcioIdentity, KeylessTerms
from lamslsa.sign.keyless._patterns import MAX_SUBJECT, compiled, matches

ARC = "1.3.6.1.4.1.57264.1"
ISSUER = "https://token.actions.githubusercontent.com"
REPOSITORY = "https://github.com/acme/model"
SUBJECT = f"{REPOSITORY}/.github/workflows/train.yml@refs/heads/main"
KEY = ec.generate_private_key(ec.SECP256R1())


def utf8(text: str) -> bytes:
    return element(0x0C, text.encode())


FIELDS: dict[str, bytes] = {
    "1": ISSUER.encode(),
    "2": b"deprecated",
    "5": b"deprecated",
    "8": utf8(ISSUER),
    "9": utf8(SUBJECT),
    "11": utf8("github-hosted"),
    "12": utf8(REPOSITORY),
    "13": utf8("ab" * 20),
    "14": utf8("refs/heads/main"),
    "15": utf8("1001"),
    "16": utf8("https://github.com/acme"),
    "17": utf8("2002"),
    "18": utf8(SUBJECT),
    "20": utf8("push"),
}


def certificate(
    fields: dict[str, bytes] | None = None, names: list[x509.GeneralName] | None = None
) -> x509.Certificate:
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(
        subject_name=x509.Name([]),
        issuer_name=x509.Name([]),
        public_key=KEY.public_key(),
        serial_number=1,
        not_valid_before=start,
        not_valid_after=start + dt.timedelta(minutes=10),
    )
    subject = [x509.UniformResourceIdentifier(SUBJECT)] if names is None else names
    if subject:
        builder = builder.add_extension(x509.SubjectAlternativeName(subject), critical=True)
    for arc, value in (FIELDS if fields is None else fields).items():
        oid = x509.ObjectIdentifier(f"{ARC}.{arc}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(KEY, hashes.SHA256())


IDENTITY = FulcioIdentity(
    san=SUBJECT,
    san_kind="uri",
    issuer=ISSUER,
    repository=REPOSITORY,
    repository_id="1001",
    owner="https://github.com/acme",
    owner_id="2002",
    workflow=".github/workflows/train.yml",
    ref="refs/heads/main",
    runner_environment="github-hosted",
    digest="ab" * 20,
    trigger="push",
)


def refusal(fields: dict[str, bytes] | None = None, names: list[x509.GeneralName] | None = None) -> str:
    with pytest.raises(FormatError) as caught:
        FulcioIdentity.parse(certificate(fields, names))
    return caught.value.reason


def test_every_field_is_read() -> None:
    assert FulcioIdentity.parse(certificate()) == IDENTITY
    assert IDENTITY.signer == f"{SUBJECT} ({ISSUER})"


def test_a_person_has_no_repository() -> None:
    fields = {"8": utf8("https://accounts.example.com")}
    identity = FulcioIdentity.parse(certificate(fields, [x509.RFC822Name("me@example.com")]))
    assert identity == FulcioIdentity(san="me@example.com", san_kind="email", issuer="https://accounts.example.com")


def other_name(der: bytes, oid: str = f"{ARC}.7") -> x509.OtherName:
    return x509.OtherName(x509.ObjectIdentifier(oid), der)


def test_a_user_name_of_fulcio() -> None:
    identity = FulcioIdentity.parse(certificate(names=[other_name(utf8("me!example.com"))]))
    assert (identity.san, identity.san_kind) == ("me!example.com", "other")


@pytest.mark.parametrize(
    "names",
    [
        [],
        [x509.RFC822Name("me@example.com"), x509.RFC822Name("you@example.com")],
        [x509.DNSName("example.com")],
        [x509.UniformResourceIdentifier("")],
        [x509.UniformResourceIdentifier("https://example.com/\x1b[2J")],
        [x509.RFC822Name("me\x07@example.com")],
        [other_name(utf8("me"), "1.2.3.4")],
    ],
)
def test_subjects_that_are_none(names: list[x509.GeneralName]) -> None:
    assert refusal(names=names) == "certificate-san"


def test_a_user_name_that_is_no_text() -> None:
    assert refusal(names=[other_name(b"\x16\x02me")]) == "certificate-extension"


def test_issuers() -> None:
    assert FulcioIdentity.parse(certificate({"1": b"https://a.example"})).issuer == "https://a.example"
    assert FulcioIdentity.parse(certificate({"8": utf8("https://a.example")})).issuer == "https://a.example"
    assert refusal({}) == "certificate-issuer"
    assert refusal({"1": b"https://a.example", "8": utf8("https://b.example")}) == "certificate-issuer"
    assert refusal({"1": b"", "8": utf8("")}) == "certificate-issuer"


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x0c",
        b"push",
        utf8("push") + b"\0",
        utf8("push")[:-1],
        b"\x16" + utf8("push")[1:],
        b"\x0c\x81\x04push",  # not the shortest form
        b"\x0c\x82\x00\x90" + b"x" * 0x90,
        b"\x0c\x80push\0\0",  # no definite length
        b"\x0c\x83\x00\x00\x04push",
        b"\x0c\x81",
        element(0x0C, b"\xff\xfe"),
        utf8("a\nb"),
        utf8("\u202egnp"),
        utf8("x" * 5000),
    ],
)
def test_fields_that_are_no_text(der: bytes) -> None:
    assert refusal(FIELDS | {"20": der}) == "certificate-extension"


@pytest.mark.parametrize("length", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 4096])
def test_texts_of_every_length(length: int) -> None:
    assert FulcioIdentity.parse(certificate(FIELDS | {"20": utf8("x" * length)})).trigger == "x" * length


def test_a_deprecated_issuer_that_is_no_text() -> None:
    assert refusal({"1": b"\xff"}) == "certificate-extension"


@given(st.binary(max_size=40))
def test_any_bytes_are_a_text_or_an_error(der: bytes) -> None:
    try:
        trigger = FulcioIdentity.parse(certificate({"8": utf8(ISSUER), "20": der})).trigger
    except FormatError:
        return
    assert utf8(trigger) == der


@pytest.mark.parametrize(
    ("repository", "uri", "expected"),
    [
        (REPOSITORY, f"{REPOSITORY}/.github/workflows/a.yml@refs/heads/main", ".github/workflows/a.yml"),
        (REPOSITORY, f"{REPOSITORY}/.github/workflows/a.yml@refs/heads/a@b", ".github/workflows/a.yml@refs/heads/a"),
        (REPOSITORY, f"{REPOSITORY}/a@refs/heads/b.yml@refs/heads/main", "a@refs/heads/b.yml"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b//.gitlab-ci.yml@refs/heads/main", ".gitlab-ci.yml"),
        (REPOSITORY, f"{REPOSITORY}-evil/.github/workflows/a.yml@refs/heads/main", ""),
        (REPOSITORY, "https://github.com/other/model/.github/workflows/a.yml@refs/heads/main", ""),
        (REPOSITORY, f"{REPOSITORY}/.github/workflows/a.yml", ""),
        ("", f"{REPOSITORY}/.github/workflows/a.yml@refs/heads/main", ""),
    ],
)
def test_the_workflow_is_a_path_in_the_same_repository(repository: str, uri: str, expected: str) -> None:
    fields = FIELDS | {"12": utf8(repository), "18": utf8(uri)}
    assert FulcioIdentity.parse(certificate(fields)).workflow == expected


def test_the_workflow_comes_from_the_signer_where_there_is_no_configuration() -> None:
    fields = {arc: value for arc, value in FIELDS.items() if arc != "18"}
    assert FulcioIdentity.parse(certificate(fields)).workflow == ".github/workflows/train.yml"
    elsewhere = FIELDS | {"18": utf8("https://github.com/other/model/a.yml@refs/heads/main")}
    assert FulcioIdentity.parse(certificate(elsewhere)).workflow == ""


# Terms

TERMS: dict[str, Any] = {
    "identity": SUBJECT,
    "repository": "acme/model",
    "repository_id": "1001",
    "owner_id": "2002",
    "workflow": ".github/workflows/train.yml",
    "ref": "refs/heads/main",
    "runner_environment": "github-hosted",
}
OF_IDENTITY = {"identity": "san"}
WORDS = {
    "identity": "subject",
    "repository_id": "repository id",
    "owner_id": "owner id",
    "runner_environment": "runner environment",
}


def changed(field: str, value: str) -> FulcioIdentity:
    fields: dict[str, Any] = {field: value}
    return dataclasses.replace(IDENTITY, **fields)


def test_all_terms_at_once() -> None:
    assert KeylessTerms(issuer=ISSUER, **TERMS).mismatch(IDENTITY) is None


@pytest.mark.parametrize("term", TERMS)
def test_each_term_alone_decides(term: str) -> None:
    terms = KeylessTerms(**{"issuer": ISSUER, "identity": SUBJECT, term: TERMS[term]})
    assert terms.mismatch(IDENTITY) is None
    field = OF_IDENTITY.get(term, term)
    word = WORDS.get(term, term)
    wanted = REPOSITORY if term == "repository" else TERMS[term]
    for value in ("another", getattr(IDENTITY, field) + "x", getattr(IDENTITY, field).upper()):
        if value != getattr(IDENTITY, field):
            mismatch = terms.mismatch(changed(field, value))
            assert mismatch == f"expected {word} {wanted!r}, got {value!r}"
    assert terms.mismatch(changed(field, "")) == f"expected {word} {wanted!r}, got none"


def test_the_issuer_is_compared_first() -> None:
    other = dataclasses.replace(IDENTITY, issuer=ISSUER + "/", san="x")
    assert KeylessTerms(issuer=ISSUER, identity=SUBJECT).mismatch(other) == (
        f"expected issuer {ISSUER!r}, got {ISSUER + '/'!r}"
    )


@pytest.mark.parametrize(
    ("term", "repository"),
    [
        ("acme/model", "https://github.com/acme/model"),
        ("https://github.com/acme/model", "https://github.com/acme/model"),
        ("https://gitlab.example:8443/a/b/c", "https://gitlab.example:8443/a/b/c"),
    ],
)
def test_repositories_by_name_and_by_url(term: str, repository: str) -> None:
    terms = KeylessTerms(issuer=ISSUER, repository=term)
    assert terms.mismatch(dataclasses.replace(IDENTITY, repository=repository)) is None
    for other in (repository + "/", repository + ".git", "https://gitlab.com/acme/model", repository[:-1]):
        assert terms.mismatch(dataclasses.replace(IDENTITY, repository=other)) is not None


@pytest.mark.parametrize(
    "repository",
    ["model", "acme/", "/model", "acme/model/x", "acme/model?x", "https://github.com", "file:///a", "a b/c"],
)
def test_what_is_no_repository(repository: str) -> None:
    with pytest.raises(FormatError) as caught:
        KeylessTerms(issuer=ISSUER, repository=repository)
    assert caught.value.reason == "terms-repository"


def test_terms_that_anybody_meets() -> None:
    for others in ({}, {"ref": "refs/heads/main"}, {"owner_id": "1"}, {"workflow": "a.yml"}):
        with pytest.raises(FormatError) as caught:
            KeylessTerms(issuer=ISSUER, **others)
        assert caught.value.reason == "terms-open"


def test_one_way_to_name_the_subject() -> None:
    with pytest.raises(FormatError) as caught:
        KeylessTerms(issuer=ISSUER, identity=SUBJECT, identity_regex=".+")
    assert caught.value.reason == "terms-identity"


@pytest.mark.parametrize("term", ["issuer", *TERMS])
@pytest.mark.parametrize("value", ["", "a\nb", "x" * 1025])
def test_values_that_no_certificate_has(term: str, value: str) -> None:
    with pytest.raises(FormatError) as caught:
        KeylessTerms(**{"issuer": ISSUER, "identity": SUBJECT, term: value})
    assert caught.value.reason == "terms-value"


@pytest.mark.parametrize("term", ["repository_id", "owner_id"])
@pytest.mark.parametrize("value", ["acme", "-1", "1.0", "١"])
def test_ids_are_numbers(term: str, value: str) -> None:
    with pytest.raises(FormatError) as caught:
        KeylessTerms(**{"issuer": ISSUER, "identity": SUBJECT, term: value})
    assert caught.value.reason == "terms-number"


# Patterns


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        (r"https://github\.com/acme/.+@refs/tags/v[0-9]+", "https://github.com/acme/a@refs/tags/v1", True),
        (r"https://github\.com/acme/.+@refs/tags/v[0-9]+", "https://github.com/acme/a@refs/tags/v1x", False),
        (r"https://github\.com/acme/.+@refs/tags/v[0-9]+", "xhttps://github.com/acme/a@refs/tags/v1", False),
        (r"^a$", "a", True),
        (r"a$", "a\n", False),
        (r"a|b", "ab", False),
        (r"(train|eval)\.yml", "eval.yml", True),
        (r"(?:train|eval)\.yml", "train.yml", True),
        (r"a(b)?", "a", True),
        (r"a{2,3}", "aaa", True),
        (r"[]*+(]x", "*x", True),
        (r"[^\]?]{1,9}", "abc", True),
        (r"\(\)\*", "()*", True),
        (r"\w+", "é", False),
        (r"https://github\.com/acme/.*/\.github/workflows/.*@refs/(heads|tags)/.+", SUBJECT, True),
        (r"a|", "", True),
        (r"a{2,}", "a", False),
        (r"(a|b)?c+?", "cc", True),
    ],
)
def test_patterns_match_the_whole_subject(pattern: str, subject: str, expected: bool) -> None:
    terms = KeylessTerms(issuer=ISSUER, identity_regex=pattern)
    mismatch = terms.mismatch(dataclasses.replace(IDENTITY, san=subject))
    assert mismatch == (None if expected else f"expected subject matching {pattern!r}, got {subject!r}")


def test_subjects_that_are_too_long_never_match() -> None:
    assert matches(compiled("a+"), "a" * MAX_SUBJECT)
    assert not matches(compiled("a+"), "a" * (MAX_SUBJECT + 1))


@pytest.mark.parametrize(
    "pattern",
    [
        "a" * 257,
        "(a+)+",
        "(a|a)*b",
        "(?:a)*",
        "(a){2}",
        "(a){2,}",
        "(a)+?",
        "a*+",
        "a?+",
        "a{2}+",
        "a{,2}",
        "{",
        "}",
        "a{b}",
        "(?i)a",
        "(?=a)a",
        "(?!a)b",
        "(?P<n>a)(?P=n)",
        r"(a)\1",
        r"\Aa",
        r"a\Z",
        r"\x61",
        "(",
        "a**",
        "[a",
        "[[a]",
        "\\",
        "a{99999999999999999999}",
    ],
)
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(FormatError) as caught:
        KeylessTerms(issuer=ISSUER, identity_regex=pattern)
    assert caught.value.reason == "terms-pattern"


COSTLY = [
    "[a-z]*" * 42 + "1",
    ".*.*.*b",
    "a?" * 127 + "b",
    "(a|a)" * 51,
    "".join(f"[a{chr(98 + number)}]*" for number in range(25)) + "1",
    "a*?" * 85,
    "a{1,512}" * 31,
    "a{4294967294}" * 19,
    "(" * 127 + "a*" + ")" * 127,
]


@pytest.mark.parametrize("pattern", COSTLY)
def test_the_costliest_patterns_end(pattern: str) -> None:
    ready = compiled(pattern)
    begun = time.process_time()
    for subject in ("a" * MAX_SUBJECT, "a" * (MAX_SUBJECT - 1) + "!"):
        matches(ready, subject)
    assert time.process_time() - begun < 0.2


def test_patterns_mean_what_they_mean_to_python() -> None:
    """Random patterns of every part of the language, against random subjects of the same characters."""
    seed = random.SystemRandom().getrandbits(64)
    rng = random.Random(seed)
    atoms = ["a", "b", ".", "[ab]", "[^a]", r"\.", r"\w", r"\d", "(a|b)", "(?:ab|b|)", "(a)?", "((a*|b)?c)", "^", "$"]
    repeats = ["", "", "*", "+", "?", "*?", "{2}", "{1,2}", "{2,}", "{0,1}?"]
    agreed = taken = 0
    for _ in range(2000):
        pattern = "".join(
            atom if atom in "^$" or atom.startswith("(") else atom + rng.choice(repeats)
            for atom in rng.choices(atoms, k=rng.randint(1, 6))
        ) + rng.choice(["", "|a*b", "|"])
        ready = compiled(pattern)
        for _ in range(4):
            subject = "".join(rng.choices("abc.1", k=rng.randint(0, 7)))
            expected = re.fullmatch(pattern, subject, re.ASCII) is not None
            assert matches(ready, subject) is expected, f"seed {seed}: {pattern!r}, {subject!r}"
            agreed, taken = agreed + 1, taken + expected
    assert 0 < taken < agreed
