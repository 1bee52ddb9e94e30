"""Builds the package once, and installs its wheel where our source tree cannot be seen."""

import os
import subprocess
import sys
import sysconfig
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TOP_LEVEL: Final = {"domain", "adapters", "server", "migrations", "dashboards"}
LIMIT_S: Final = 120


def run(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=LIMIT_S)


def build(target: str, source: Path, into: Path) -> Path:
    """Return the one file that the build backend makes of ``source``."""
    done = run(sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into), cwd=source)
    assert done.returncode == 0, done.stderr
    (made,) = into.iterdir()
    return made


class Package:
    """Wheel, source distribution and installation, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def wheel(self) -> Path:
        return build("wheel", ROOT, self._folder / "wheel")

    @cached_property
    def sdist(self) -> Path:
        return build("sdist", ROOT, self._folder / "sdist")

    @cached_property
    def installed(self) -> Path:
        target = self._folder / "installed"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        done = run(*pip, "--no-deps", "--no-index", "--target", str(target), str(self.wheel))
        assert done.returncode == 0, done.stderr
        return target

    def python(self) -> list[str]:
        """Return an interpreter that reads no ``.pth`` files: an editable installation is one."""
        return [sys.executable, "-S", "-P"]

    def environment(self) -> dict[str, str]:
        """Return the environment in which that interpreter finds the installation and its dependencies."""
        return {**os.environ, "PYTHONPATH": f"{self.installed}{os.pathsep}{sysconfig.get_path('purelib')}"}
