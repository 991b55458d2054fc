"""Each simulated platform has a folder, a root and a measurement of its own."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.evidence.simulated.open import SIMULATED, open_platform, platform_folder

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


def test_platforms_share_nothing(tmp_path: Path) -> None:
    opened = {tee: open_platform(tee, tmp_path / "platform", now=NOW) for tee in reversed(SIMULATED)}
    assert {tee: platform.measurement().tee for tee, platform in opened.items()} == {
        "simulated": "sgx",
        "simulated-tdx": "tdx",
        "simulated-snp": "snp",
        "simulated-nitro": "nitro",
    }
    assert len({platform.root.sha256 for platform in opened.values()}) == len(SIMULATED)
    folders = {platform_folder(tee, tmp_path / "platform") for tee in SIMULATED}
    assert {path.name for path in tmp_path.iterdir()} == {folder.name for folder in folders}
    again = open_platform("simulated-snp", tmp_path / "platform", now=NOW)
    assert again.root == opened["simulated-snp"].root


@pytest.mark.parametrize("tee", ["", "sgx", "simulated-gpu", "../simulated"])
def test_other_names(tmp_path: Path, tee: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        open_platform(tee, tmp_path / "platform", now=NOW)
    assert caught.value.reason == "simulated-platform"
    assert not list(tmp_path.iterdir())
