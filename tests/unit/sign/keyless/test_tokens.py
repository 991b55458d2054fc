"""Identity tokens: where they come from, what they say, and that nobody else sees them."""

from __future__ import annotations

import base64
import datetime as dt
import gc
import json
import logging
import re
import sys
import threading
import traceback
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from id._internal.oidc import ambient

from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign.keyless.asking import said
from lamslsa.sign.keyless.tokens import ambient_token, browser_token, parse_token
from lamslsa.testing.sigstore import LocalSigstore, github_claims

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
GITHUB = "https://token.actions.githubusercontent.com"
CLAIMS: dict[str, Any] = {"iss": "https://issuer.example", "sub": "me", "aud": "sigstore", "exp": NOW.timestamp() + 60}
CI = (
    *("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "GITLAB_CI"),
    *("BUILDKITE", "CIRCLECI", "GOOGLE_SERVICE_ACCOUNT_NAME", "SIGSTORE_ID_TOKEN"),
)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def made(**claims: Any) -> str:
    content = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return f"{part({'alg': 'ES256'})}.{part(content)}.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CI:
        monkeypatch.delenv(name, raising=False)


def test_a_token_says_who_will_sign() -> None:
    token = parse_token(f" {made(project_path='group/model')}\n", at=NOW)
    assert token.signer == "me (https://issuer.example)"
    assert token.repository == "group/model"
    assert token.identity is None, "what an issuer's subject becomes is configured at the authority"
    assert token.expires == NOW + dt.timedelta(seconds=60)


def test_an_address_is_the_subject() -> None:
    token = parse_token(made(email="me@example.com"), at=NOW)
    assert token.identity is not None
    assert (token.subject, token.identity.san, token.identity.san_kind) == ("me@example.com", "me@example.com", "email")


def test_behind_a_federating_issuer_stands_the_one_that_it_asked() -> None:
    claims = {"connector_id": "https://github.com/login/oauth"}
    assert parse_token(made(federated_claims=claims), at=NOW).issuer == "https://github.com/login/oauth"
    assert parse_token(made(federated_claims={"connector_id": ""}), at=NOW).issuer == "https://issuer.example"


@pytest.mark.parametrize("issuer", [GITHUB, f"{GITHUB}/acme-corp"])
def test_a_workflow_of_github_is_the_subject(issuer: str) -> None:
    claims = github_claims("acme/model", job_workflow_ref="tools/ci/.github/workflows/train.yml@v1")
    identity = parse_token(made(**claims, iss=issuer), at=NOW).identity
    assert identity is not None
    assert (identity.san, identity.issuer) == ("https://github.com/tools/ci/.github/workflows/train.yml@v1", issuer)
    assert identity.workflow == ".github/workflows/train.yml", "of the file that configures the run"
    assert (identity.repository, identity.repository_id) == ("https://github.com/acme/model", "1001")


@pytest.mark.parametrize(
    ("configured", "workflow"),
    [
        ("acme/model/.github/workflows/release.yml@refs/heads/main", ".github/workflows/release.yml"),
        ("tools/ci/.github/workflows/train.yml@v1", ""),
        ("acme/model-2/.github/workflows/train.yml@v1", ""),
    ],
)
def test_the_workflow_is_a_path_in_the_repository(configured: str, workflow: str) -> None:
    """One of another repository does the work as its subject says, and is no file of this one."""
    claims = github_claims("acme/model", job_workflow_ref="tools/ci/.github/workflows/train.yml@v1")
    identity = parse_token(made(**claims | {"workflow_ref": configured}, iss=GITHUB), at=NOW).identity
    assert identity is not None
    assert identity.workflow == workflow


@pytest.mark.parametrize(
    "issuer",
    [
        "https://github.corp.example/_services/token",
        f"{GITHUB}.example",
        "http://token.actions.githubusercontent.com",
        "https://issuer.example",
    ],
)
def test_a_workflow_elsewhere_is_named_by_the_authority(issuer: str) -> None:
    token = parse_token(made(**github_claims("acme/model"), iss=issuer), at=NOW)
    assert token.identity is None
    assert (token.subject, token.repository) == ("repo:acme/model:ref:refs/heads/main", "acme/model")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "token-format"),
        ("a.b", "token-format"),
        ("a.b.c.d", "token-format"),
        ("a.b c.d", "token-format"),
        (f"a.{'b' * 32768}.c", "token-format"),
        ("aaaa.bbbb.cccc", "token-format"),
        (f"a.{part([1])}.c", "token-format"),
        (f"a.{part(CLAIMS)[:-1]}.c", "token-format"),
        (made(aud="other"), "token-audience"),
        (made(aud=["other"]), "token-audience"),
        (made(aud=None), "token-audience"),
        (made(exp=None), "token-claims"),
        (made(exp="soon"), "token-claims"),
        (made(exp=True), "token-claims"),
        (made(exp=1e30), "token-claims"),
        (made(exp=2**39), "token-claims"),
        (made(iss=None), "token-claims"),
        (made(iss=""), "token-claims"),
        (made(sub=None), "token-claims"),
        (made(sub=7), "token-claims"),
    ],
)
def test_what_is_no_token_for_sigstore_is_refused_and_not_shown(text: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_token(text, at=NOW)
    assert caught.value.reason == reason
    assert len(text) < 12 or text not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (made(exp=NOW.timestamp()), "token-expired"),
        (made(exp=NOW.timestamp() - 3600), "token-expired"),
        (made(nbf=NOW.timestamp() + 6), "token-not-yet-valid"),
    ],
)
def test_a_token_of_another_time_is_refused(token: str, reason: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        parse_token(token, at=NOW)
    assert caught.value.reason == reason


def test_without_a_time_the_period_is_left_to_the_session() -> None:
    assert parse_token(made(nbf=NOW.timestamp() + 6)).subject == "me"


def test_a_token_may_name_several_audiences_and_begin_now() -> None:
    assert parse_token(made(aud=["other", "sigstore"], nbf=NOW.timestamp() + 4), at=NOW).subject == "me"


def test_a_token_does_not_show() -> None:
    text = made()
    token = parse_token(text, at=NOW)
    assert token.secret == text
    assert text not in f"{token} {token!r}"
    assert text.split(".")[1] not in f"{token} {token!r}"


def test_outside_of_a_ci_there_is_no_ambient_token() -> None:
    assert ambient_token() is None


def test_github_gives_its_jobs_a_token(local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local_sigstore.github_environment().items():
        monkeypatch.setenv(name, value)
    token = ambient_token()
    assert token is not None
    assert token.repository == "acme/model"


def test_gitlab_puts_it_into_a_variable(local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", local_sigstore.token())
    token = ambient_token()
    assert token is not None
    assert token.issuer == local_sigstore.issuer


@pytest.mark.parametrize("account", ["", "signer@project.example"])
def test_google_asks_its_metadata_server(
    local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, account: str
) -> None:
    """A machine's own account, and one that it may act for; the server has a name that exists there only."""
    asked: list[tuple[str, str, Any]] = []

    def answer(method: str, url: str, **request: Any) -> urllib3.HTTPResponse:
        asked.append((method, url.partition("?")[0], request["headers"]))
        body = {"access_token": "access"} if url.startswith(ambient._GCP_TOKEN_REQUEST_URL) else {"token": text}
        return urllib3.HTTPResponse(body=json.dumps(body).encode() if account else text.encode(), status=200)

    text = local_sigstore.token()
    (tmp_path / "product").write_text("Google Compute Engine\n")
    monkeypatch.setattr(ambient, "_GCP_PRODUCT_NAME_FILE", str(tmp_path / "product"))
    monkeypatch.setattr(urllib3, "request", answer)
    if account:
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_NAME", account)
    token = ambient_token()
    assert token is not None
    assert token.secret == text
    machine, bearer = {"Metadata-Flavor": "Google"}, {"Authorization": "Bearer access"}
    if account:
        impersonated = ambient._GCP_GENERATEIDTOKEN_REQUEST_URL.format(account)
        assert asked == [("GET", ambient._GCP_TOKEN_REQUEST_URL, machine), ("POST", impersonated, bearer)]
    else:
        assert asked == [("GET", ambient._GCP_IDENTITY_REQUEST_URL, machine)]


@pytest.mark.parametrize(("variable", "agent"), [("BUILDKITE", "buildkite-agent"), ("CIRCLECI", "circleci")])
def test_buildkite_and_circleci_ask_their_agents(
    local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, agent: str
) -> None:
    script = tmp_path / agent
    script.write_text(f"#!{sys.executable}\nprint({local_sigstore.token()!r})\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(variable, "true")
    token = ambient_token()
    assert token is not None
    assert token.issuer == local_sigstore.issuer


def test_a_job_without_the_permission_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(UnavailableError) as caught:
        ambient_token()
    assert caught.value.reason == "token-ambient"
    assert "permissions: id-token: write" in str(caught.value.hint)


@pytest.mark.parametrize("failure", [403, "drop", "garble"])
def test_a_ci_that_fails_is_an_error(
    faulty_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    environment = faulty_sigstore.github_environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    faulty_sigstore.faults.fail("github-token", failure)
    with pytest.raises(UnavailableError) as caught:
        ambient_token()
    assert caught.value.reason == "token-ambient"
    assert environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] not in str(caught.value) + str(caught.value.hint) + caplog.text


@pytest.mark.parametrize(
    ("lie", "reason"),
    [("token-expired", "token-expired"), ("token-other-audience", "token-ambient")],
)
def test_what_a_ci_gives_is_read_like_any_other(
    faulty_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, lie: Any, reason: str
) -> None:
    for name, value in faulty_sigstore.github_environment().items():
        monkeypatch.setenv(name, value)
    faulty_sigstore.faults.lie(lie)
    with pytest.raises(LamslsaError) as caught:
        ambient_token(at=dt.datetime.now(dt.UTC))
    assert caught.value.reason == reason


def test_a_browser_that_cannot_be_used_is_an_error(
    faulty_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty_sigstore.faults.fail("oidc-configuration", 503)
    with pytest.raises(UnavailableError) as caught:
        browser_token(faulty_sigstore.issuer)
    assert caught.value.reason == "token-browser"


def test_a_browser_gets_a_token(
    local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    visits: list[threading.Thread] = []

    def visit(url: str) -> bool:
        visits.append(threading.Thread(target=lambda: urllib.request.urlopen(url).close()))
        visits[0].start()
        return True

    monkeypatch.setattr("webbrowser.open", visit)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # sigstore never closes the port that the browser comes back to
        token = browser_token(local_sigstore.issuer)
        visits[0].join()
        gc.collect()
    assert token.subject == "someone@example.test"
    assert capsys.readouterr().out == ""


class Reader:
    """Somebody who opens the link that they are told, and types the code that the provider shows."""

    def __init__(self, told: Callable[[], str]) -> None:
        self._told = told

    def readline(self) -> str:
        (link,) = re.findall(r"http://\S+", self._told())
        request = urllib3.request("GET", link, redirect=False)
        (code,) = urllib.parse.parse_qs(urllib.parse.urlsplit(request.headers["Location"]).query)["code"]
        return f"{code}\n"


def test_without_a_browser_the_code_is_asked_for_beside_the_result(
    local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    said_there: list[str] = []

    def told() -> str:
        captured = capsys.readouterr()
        said_there.append(captured.out)
        return captured.err

    monkeypatch.setattr("sys.stdin", Reader(told))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # as above
        assert browser_token(local_sigstore.issuer).subject == "someone@example.test"
        gc.collect()
    assert said_there == [""]
    assert capsys.readouterr().out == ""
    assert logging.getLogger().handlers == []


def test_what_a_service_says_has_no_token_in_it() -> None:
    text = said(f"no: {made()}\n  Authorization: Bearer abc.def {'x' * 400}")
    assert text.startswith("no: [token] Authorization: [token] x")
    assert len(text) <= 241
