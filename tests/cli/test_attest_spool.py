"""``lamslsa attest --spool``: what is larger than memory gives the same statements, and the disk can change nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamslsa._cli.attest_inputs import Size
from lamslsa.artifact.spool import BLOCK_BYTES, SpoolFile
from lamslsa.testing.table import JOB, ROWS

Cli = Callable[..., tuple[int, Any, str]]
COUNT = 30_000
COMMON = ("--config", "job.yaml", "--tee", "simulated", "--quiet")


def schema(form: str) -> str:
    own = 'format: csv, delimiter: ",", header: true, trim: false' if form == "csv" else f"format: {form}"
    columns = "[{name: n, type: integer}, {name: text, type: string}, {name: x, type: number}]"
    return f"  {form}: {{{own}, nullToken: null, columns: {columns}, label: null}}\n"


FORMS = ("csv", "parquet", "jsonl", "arrow")
JOBS = (
    "apiVersion: lamslsa.dev/job/v1\nkind: Job\nschemas:\n"
    + "".join(map(schema, FORMS))
    + "datasets:\n"
    + "".join(
        f"  a-{form}: {{schema: {form}, {'skipLines: 0, ' if form == 'csv' else ''}groups: [[text]], overlap: []}}\n"
        for form in FORMS
    )
    + "transforms:\n  half: {transform: preprocess/1, dataset: a-csv, steps: [{step: select, columns: [n, x]}],\n"
    + "    nullToken: null, label: null, outputs: {all: half}}\n"
)


def written(form: str) -> bytes:
    """More than two blocks of the spool in every format."""
    table = pa.table(
        {
            "n": list(range(COUNT)),
            "text": [f"{n % 89} {'é' * 60}" for n in range(COUNT)],
            "x": [n / 7 for n in range(COUNT)],
        }
    )
    stream = io.BytesIO()
    if form == "parquet":
        options = {"compression": "none", "use_dictionary": False}
        pq.write_table(table, stream, row_group_size=4000, **options)
    elif form == "arrow":
        with pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table, max_chunksize=4000)
    elif form == "jsonl":
        stream.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist()).encode())
    else:
        rows = "".join(f"{row['n']},{row['text']},{row['x']!r}\n" for row in table.to_pylist())
        stream.write(b"n,text,x\n" + rows.encode())
    return stream.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tables")
    for form in FORMS:
        (folder / f"table.{form}").write_bytes(written(form))
        assert (folder / f"table.{form}").stat().st_size > 2 * BLOCK_BYTES
    return {form: folder / f"table.{form}" for form in FORMS}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "job.yaml").write_text(JOBS, encoding="utf-8")
    (tmp_path / "disk").mkdir()
    monkeypatch.setenv("LAMSLSA_SIMULATED_PLATFORM", str(tmp_path / "platform"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sheet(form: str, files: dict[str, Path], *more: str) -> tuple[str, ...]:
    return ("attest", "dataset", str(files[form]), "--name", f"a-{form}", *COMMON, *more)


SPOOL = ("--memory-limit", "1M", "--spool", "disk")


@pytest.fixture
def spooled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all spool files that were written to the end."""
    sizes: list[int] = []
    seal = SpoolFile.seal

    def sealed(self: SpoolFile) -> None:
        seal(self)
        if self.size:
            sizes.append(self.size)

    monkeypatch.setattr(SpoolFile, "seal", sealed)
    return sizes


@pytest.mark.parametrize("form", FORMS)
def test_a_datasheet_is_the_same_byte_for_byte(
    place: Path, cli: Cli, files: dict[str, Path], spooled: list[int], form: str
) -> None:
    code, _, said = cli(*sheet(form, files, "--out", "memory"))
    assert code == 0, said
    assert not spooled
    code, _, said = cli(*sheet(form, files, "--out", "spooled", *SPOOL))
    assert code == 0, said
    assert spooled == [files[form].stat().st_size]
    statements = [Path(run, "01-dataset.json").read_bytes() for run in ("memory", "spooled")]
    assert statements[0] == statements[1]
    assert list((place / "disk").iterdir()) == []


def test_a_transform_of_a_table_is_the_same(place: Path, cli: Cli, files: dict[str, Path]) -> None:
    words = ("attest", "transform", "--transform", "half", "--dataset", f"dataset={files['csv']}", *COMMON)
    made = []
    for out, more in (("memory", ()), ("spooled", SPOOL)):
        code, _, said = cli(*words, "--output", f"half={out}-half", "--out", out, *more)
        assert code == 0, said
        statement = next(Path(out).glob("01-*.json")).read_bytes()
        made.append((statement, Path(f"{out}-half", "data.csv").read_bytes()))
    assert made[0] == made[1]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_changed_on_the_disk_is_refused(
    place: Path, cli: Cli, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    seal = SpoolFile.seal

    def sealed(self: SpoolFile) -> None:
        seal(self)
        if self.size:  # the host finds the file among those that the process has open
            with Path(f"/proc/self/fd/{self._descriptor}").open("r+b") as file:
                file.seek(BLOCK_BYTES + 100)
                old = file.read(1)
                file.seek(BLOCK_BYTES + 100)
                file.write(bytes([old[0] ^ 1]))

    monkeypatch.setattr(SpoolFile, "seal", sealed)
    code, document, said = cli(*sheet(form, files, "--out", "run", *SPOOL))
    assert (code, document["error"]["reason"]) == (4, "spool-changed"), said
    assert not Path("run").exists()
    assert list((place / "disk").iterdir()) == []


def test_what_is_too_large_is_refused_with_what_to_do(place: Path, cli: Cli, files: dict[str, Path]) -> None:
    for more in ((), ("--dry-run",)):
        code, document, _ = cli(*sheet("csv", files, "--out", "run", "--memory-limit", "1M", *more))
        assert (code, document["error"]["reason"]) == (3, "artifact-size")
        assert "--spool DIR" in document["error"]["hint"]
        assert "--memory-limit" in document["error"]["hint"]
    assert not Path("run").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_is_needed_in_memory_is_never_spooled(place: Path, cli: Cli, more: tuple[str, ...]) -> None:
    Path("job.yaml").write_text(JOB, encoding="utf-8")
    Path("people.csv").write_text(ROWS, encoding="utf-8")
    words = ("attest", "training", "--dataset", "train=people.csv", "--model-out", "model", "--out", "run", *COMMON)
    code, document, _ = cli(*words, "--memory-limit", "700", "--spool", "disk", *more)
    assert (code, document["error"]["reason"]) == (3, "artifact-size")
    assert "--spool" not in document["error"]["hint"]
    assert cli(*words, "--memory-limit", "746", "--dry-run")[0] == 0, "as much as the limit is not more"


def test_a_spool_that_takes_no_file_is_told_at_once(place: Path, cli: Cli, files: dict[str, Path]) -> None:
    Path("file").write_text("")
    for folder in ("absent", "file"):
        code, document, _ = cli(*sheet("csv", files, "--out", "run", "--spool", folder))
        assert (code, document["error"]["reason"]) == (6, "spool-disk")


def test_a_dry_run_says_the_limit_and_where_each_input_would_lie(
    place: Path, cli: Cli, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, said = cli(*sheet("csv", files, "--dry-run", *SPOOL))
    assert code == 0, said
    assert (document["memoryLimit"], document["inputs"][0]["keptIn"]) == (2**20, "spool")
    code, document, said = cli(*sheet("csv", files, "--dry-run"))
    assert (document["memoryLimit"], document["inputs"][0]["keptIn"]) == (8 * 2**30, "memory")
    from lamslsa._cli.main import main

    capsys.readouterr()
    assert main([*sheet("csv", files, "--dry-run")]) == 0
    assert "in memory at most 8.0 GiB of each; what is larger is refused" in capsys.readouterr().out
    assert main([*sheet("csv", files, "--dry-run", *SPOOL)]) == 0
    said = capsys.readouterr().out
    assert "1 file, encrypted in disk\n" in said
    assert "in memory at most 1.0 MiB of each; what is larger is encrypted in the spool" in said
    assert list((place / "disk").iterdir()) == []


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("700", 700), ("1K", 1024), ("8G", 8 * 2**30), ("1T", 2**40)])
def test_a_size(text: str, number: int) -> None:
    assert Size().convert(text, None, None) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "8g", "8GB", "1.5G", "G", "٣G", "1025T", "9" * 13, "1 G", "1G\n"])
def test_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)


SLOW = """
import sys, time
from pathlib import Path
from lamslsa.artifact.spool import SpoolFile
seal = SpoolFile.seal
def wait(self):
    seal(self)
    if self.size:
        Path("started").write_text("")
        time.sleep(60)
SpoolFile.seal = wait
from lamslsa._cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_is_ended(
    place: Path, cli: Cli, files: dict[str, Path], number: signal.Signals
) -> None:
    words = sheet("jsonl", files, "--out", "run", *SPOOL)
    process = subprocess.Popen([sys.executable, "-c", SLOW, *words], env=os.environ, cwd=place)
    deadline = time.monotonic() + 60
    while not (place / "started").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    assert list((place / "disk").iterdir()) == [], "the file has no name while it is in use"
    process.send_signal(number)
    assert process.wait(20) != 0
    assert list((place / "disk").iterdir()) == []
    (place / "disk" / "lamslsa-spool-left").write_bytes(b"from a run that ended between two calls")
    code, _, said = cli(*words)
    assert code == 0, said
    assert [path.name for path in (place / "disk").iterdir()] == ["lamslsa-spool-left"], "not its own, so not touched"
