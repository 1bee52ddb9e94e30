"""An engine of the torture's own that can be killed and started again: nobody else's containers are hurt."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import docker
import requests

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine

_READY_S: Final = 60
_ATTEMPTS: Final = 3
_NO_ANSWER: Final = (docker.errors.DockerException, requests.exceptions.RequestException)


class TortureEngine:
    """Runs while it is open.

    Attributes:
        url: what makes a server use this engine.
        image: the image it has.
        events: what it has told of containers and networks, each event once.
        outages: when it was down, in seconds since 1970.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="dmto-", dir="/tmp"))  # socket paths have to be short
        self.url = f"unix://{self.directory}/docker.sock"
        self.events: list[dict[str, Any]] = []
        self.outages: list[tuple[float, float]] = []
        self._seen: set[tuple[Any, ...]] = set()
        self._closed = threading.Event()
        self._log = (self.directory / "log").open("ab")
        try:
            self._process = self._start()
            self.image = provide_image(Engine({"DOCKER_HOST": self.url}, 60, 2))
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()
        except BaseException:
            self.close()
            raise

    def client(self, timeout_s: int = 60) -> docker.APIClient:
        return docker.APIClient(base_url=self.url, version="1.41", timeout=timeout_s)

    def restart(self, *, kill: bool) -> None:
        """End the engine, at once if it is to be killed, and start it again."""
        began = time.time()
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait(10)
        self._process = self._start()
        self.outages.append((began, time.time()))

    def heard(self) -> None:
        """Wait until what has happened so far has been told."""
        time.sleep(2)

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(*_NO_ANSWER), contextlib.closing(self.client()) as api:
            for container in api.containers(all=True):
                with contextlib.suppress(*_NO_ANSWER):
                    api.remove_container(container["Id"], force=True, v=True)
            api.prune_networks()
        if "_process" in self.__dict__:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
            self._process.wait(5)
        for leftover in self._processes():
            os.kill(leftover, signal.SIGKILL)
        self._log.close()
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((path for path in mounted if path.startswith(str(self.directory))), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> "subprocess.Popen[bytes]":
        options = {
            "host": self.url,
            "data-root": self.directory / "data",
            "exec-root": self.directory / "exec",
            "pidfile": self.directory / "pid",
            "iptables": "false",
            "ip-forward": "false",
            "ip-masq": "false",
            "default-address-pool": "base=10.214.80.0/20,size=28",
            "shutdown-timeout": "5",
        }
        # In a network namespace of its own: an engine that starts again takes the bridge of its neighbour away.
        command = ["unshare", "--net", "dockerd", *(f"--{name}={value}" for name, value in options.items())]
        for _ in range(_ATTEMPTS):
            self._end_containerd()
            if process := self._try(command):
                return process
        raise AssertionError("the engine does not start: " + (self.directory / "log").read_text()[-2000:])

    def _end_containerd(self) -> None:
        """End what a killed engine has left: it is about to end, and the next engine would wait for it in vain."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.directory / "exec/containerd/containerd.pid").read_text()), signal.SIGKILL)
            time.sleep(0.2)

    def _processes(self) -> Iterator[int]:
        """Yield what runs in our directory: an engine that was killed leaves what watches over its containers."""
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(self.directory).encode() in file.read_bytes():
                    yield int(file.parent.name)

    def _try(self, command: list[str]) -> "subprocess.Popen[bytes] | None":
        process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(*_NO_ANSWER):
                with contextlib.closing(self.client()) as api:
                    api.ping()
                return process
            time.sleep(0.05)
        process.kill()
        process.wait(10)
        return None

    def _listen(self) -> None:
        """Write down each event once; the engine tells those since a moment again after a broken connection."""
        since = int(time.time()) - 1
        while not self._closed.is_set():
            with contextlib.suppress(Exception), contextlib.closing(self.client(3600)) as api:
                for event in api.events(since=since, decode=True):
                    key = (event["timeNano"], event["Type"], event["Action"], event["Actor"]["ID"])
                    if key not in self._seen and event["Type"] in ("container", "network"):
                        self._seen.add(key)
                        self.events.append(event)
                    since = max(since, int(event["time"]) - 1)
            time.sleep(0.1)
