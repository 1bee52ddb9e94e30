"""Base images for the Dockerfile, made of this machine's parts, so that it can be built without a registry."""

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import docker

from adapters.compose.plugin import find_plugin
from tests.package.build import ROOT

BUSYBOX: Final = Path("/bin/busybox")
_APPLETS: Final = ["sh", "cat", "chmod", "chown", "echo", "grep", "id", "ls", "mkdir", "stat", "tr"]
_EVERYWHERE: Final = ["dl.so.2", "gcc_s.so.1", "m.so.6", "pthread.so.0", "resolv.so.2", "rt.so.1", "stdc++.so.6"]
_LEFT_OUT: Final = re.compile(
    r"/(__pycache__|test|tests|idlelib|tkinter|config-[^/]+|share|include|site-packages/(?!pip\b|pip-)[^/]+)(/|$)"
)


def download_wheels(into: Path) -> None:
    """Fetch what the Dockerfile installs, by the pinned hashes, and what builds the package."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "-d", str(into)]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", ROOT / "requirements.txt"], check=True)
    subprocess.run([*pip, "hatchling==1.33.0"], check=True)


def import_python(engine: docker.APIClient, name: str, wheels: Path) -> None:
    """Make an image of this interpreter, a shell, and an index of packages that consists of ``wheels``."""
    prefix = Path(sys.base_prefix)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in prefix.rglob("*"):
            inside = "/" + str(file.relative_to(prefix))
            if not _LEFT_OUT.search(inside) and (file.is_file() or file.is_symlink()):
                tar.add(file, f"usr/local{inside}", recursive=False)
        for library in libraries([Path(sys.executable).resolve(), *prefix.glob("lib/python3*/lib-dynload/*.so")]):
            tar.add(library.resolve(), str(library).lstrip("/"))
        tar.add(BUSYBOX, "bin/busybox")
        for applet in _APPLETS:
            put(tar, f"bin/{applet}", link="busybox")
        for wheel in wheels.iterdir():
            tar.add(wheel, f"wheels/{wheel.name}")
        put(tar, "etc/pip.conf", b"[global]\nno-index = true\nfind-links = /wheels\n")
        put(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        put(tar, "etc/group", b"root:x:0:\n")
        put(tar, "tmp/keep", b"")
    engine.import_image_from_data(archive.getvalue(), repository=name)


def import_compose(engine: docker.APIClient, name: str) -> None:
    """Make an image that holds this machine's Compose plugin, as Docker's own does."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(Path(find_plugin(None)[0]).resolve(), "docker-compose")
    engine.import_image_from_data(archive.getvalue(), repository=name)


def put(tar: tarfile.TarFile, name: str, content: bytes = b"", link: str = "") -> None:
    """Put a file that may be run, or a symbolic link, into an archive."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.linkname = len(content), 0o755, link
    entry.type = tarfile.SYMTYPE if link else tarfile.REGTYPE
    tar.addfile(entry, io.BytesIO(content))


def libraries(programs: list[Path]) -> Iterator[Path]:
    """Yield the shared libraries that ``programs`` need, and those that wheels expect everywhere."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"(/\S+\.so\S*) \(0x", listed)}
    multiarch = Path("/lib") / str(sysconfig.get_config_var("MULTIARCH"))
    yield from sorted(found | {multiarch / f"lib{name}" for name in _EVERYWHERE})
