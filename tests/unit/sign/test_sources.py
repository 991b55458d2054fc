"""Where a key lies: a file, the environment, or a reference that nobody here supports."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.sign.sources import open_key

PEM = generate(None)
KEY_ID = KeySigner.load(PEM, None).key_id


def test_a_key_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.key").write_bytes(PEM)
    with open_key(str(tmp_path / "a.key"), passphrase=None, environment={}) as signer:
        assert signer.key_id == KEY_ID
        assert signer.verifier().verify(parse_bundle(signer.sign(b"{}"))).key_id == KEY_ID


def test_a_key_in_the_environment() -> None:
    with open_key("env://SIGNING_KEY", passphrase=None, environment={"SIGNING_KEY": PEM.decode()}) as signer:
        assert signer.key_id == KEY_ID
    encrypted = generate(b"word")
    with open_key("env://K", passphrase=b"word", environment={"K": encrypted.decode()}) as signer:
        assert signer.key_id == KeySigner.load(encrypted, b"word").key_id


@pytest.mark.parametrize(
    ("reference", "environment", "reason", "kind"),
    [
        ("env://ABSENT", {}, "key-environment", UnavailableError),
        ("env://EMPTY", {"EMPTY": ""}, "key-environment", UnavailableError),
        ("env://", {"": "x"}, "key-reference", FormatError),
        ("env://KEY", {"KEY": "secret-of-another-kind"}, "key-pem", FormatError),
        ("env://KEY", {"KEY": "\udc80"}, "key-pem", FormatError),
        ("gcpkms://projects/p", {}, "key-reference", FormatError),
        ("https://example.test/a.key", {}, "key-reference", FormatError),
    ],
)
def test_other_references_are_refused(
    reference: str, environment: dict[str, str], reason: str, kind: type[LamslsaError]
) -> None:
    with pytest.raises(LamslsaError) as caught, open_key(reference, passphrase=None, environment=environment):
        pass
    assert (caught.value.reason, type(caught.value)) == (reason, kind)
    assert "secret-of-another-kind" not in str(caught.value)


def test_a_file_that_is_too_large_or_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 16385)
    for path, reason in ((tmp_path / "big", "key-file-size"), (tmp_path, "input-kind")):
        with pytest.raises(FormatError) as caught, open_key(str(path), passphrase=None, environment={}):
            pass
        assert caught.value.reason == reason
