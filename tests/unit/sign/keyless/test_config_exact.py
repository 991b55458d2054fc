"""Trust configurations that Sigstore's own models take, and whose services nobody can use."""

from __future__ import annotations

import json

import pytest

from lamslsa.errors import FormatError
from lamslsa.sign.keyless.config import parse_trust_config
from lamslsa.testing.sigstore import LocalSigstore


@pytest.mark.parametrize("change", [{"majorApiVersion": 9}, {"validFor": {"start": "2999-01-01T00:00:00Z"}}])
def test_an_issuer_that_this_release_cannot_use(local_sigstore: LocalSigstore, change: dict[str, object]) -> None:
    value = json.loads(local_sigstore.trust_config_json())
    value["signingConfig"]["oidcUrls"][0].update(change)
    with pytest.raises(FormatError) as caught:
        parse_trust_config(json.dumps(value).encode())
    assert caught.value.reason == "trust-config"
