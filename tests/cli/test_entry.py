"""How the program begins: Ctrl-C while it imports ends it quietly."""

import signal
import subprocess
import tomllib
from pathlib import Path

from tests.cli.command import LIMIT_S, STDIO, environment
from tests.package.build import ROOT
from tests.waiting import wait_for

SLOW_LIBRARY = """\
import pathlib, time
pathlib.Path({begun!r}).touch()
time.sleep({limit})
"""


def importing(folder: Path, prefix: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    """Start the program with a library whose import does not end, and return once it has begun to import it."""
    begun = folder / "begun"
    (folder / "typer.py").write_text(SLOW_LIBRARY.format(begun=str(begun), limit=LIMIT_S))
    variables = environment({"PYTHONPATH": str(folder)})
    process = subprocess.Popen(
        [*prefix, *STDIO, "--version"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=variables,
    )
    wait_for(begun.exists, LIMIT_S, "the import")
    return process


def test_ctrl_c_while_the_program_imports_ends_it_without_a_word(tmp_path: Path) -> None:
    process = importing(tmp_path)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, told) == (128 + signal.SIGINT, ("", ""))


def test_a_process_that_was_told_to_ignore_ctrl_c_goes_on_doing_so(tmp_path: Path) -> None:
    process = importing(tmp_path, ("env", "--ignore-signal=INT"))
    process.send_signal(signal.SIGINT)
    process.terminate()
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == -signal.SIGTERM


def test_the_scripts_begin_there() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts.values()) == {"server.entry:run"}
