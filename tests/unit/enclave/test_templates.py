"""The templates of manifests: beside the module, or at the root of a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamslsa.enclave import template
from lamslsa.errors import UnavailableError


def test_an_installation_without_templates_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (template._templates() / "common.manifest.toml.in").is_file()
    monkeypatch.setattr(template, "__file__", str(tmp_path / "lamslsa" / "enclave" / "template.py"))
    with pytest.raises(UnavailableError) as caught:
        template._templates()
    assert caught.value.reason == "enclave-templates"
