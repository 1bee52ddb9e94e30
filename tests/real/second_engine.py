"""A second Docker Engine on this machine, reached over TCP with mutual TLS, apart from the first in all it owns."""

import contextlib
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import docker
from docker.utils import kwargs_from_env

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from tests.conftest import free_port
from tests.real.certificates import Authority

_READY_S = 90


class _PlainClient(docker.APIClient):
    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return {"proxies": {}, "stream": stream, "verify": self.verify, "cert": self.cert}


class SecondEngine:
    """Runs while it is open.

    Attributes:
        settings: what makes a server use this engine.
        image: the image it has.
        api: a plain client.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="dmt-", dir="/tmp"))  # socket paths have to be short
        self._bridge = f"dmt{uuid.uuid4().hex[:8]}"
        authority = Authority()
        server = authority.equip(self.directory / "server", "engine")
        client = authority.equip(self.directory / "client", "client")
        self.settings = {
            "DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(client),
        }
        self._ip("link", "add", self._bridge, "type", "bridge")
        self._ip("address", "add", "10.213.76.1/24", "dev", self._bridge)
        self._ip("link", "set", self._bridge, "up")
        self._log = (self.directory / "log").open("wb")
        self._process = subprocess.Popen(self._command(server), stdout=self._log, stderr=self._log)
        try:
            self.api = self._wait()
            self.image = provide_image(Engine(self.settings, 60, 2))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if "api" in self.__dict__:
            for container in self.api.containers(all=True):
                self.api.remove_container(container["Id"], force=True, v=True)
            self.api.prune_networks()
            self.api.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait(5)
        self._log.close()
        self._ip("link", "delete", self._bridge)
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def alive(self) -> bool:
        return self._process.poll() is None

    def _command(self, certificates: Path) -> list[str]:
        options = {
            "host": self.settings["DOCKER_HOST"],
            "tlsverify": "true",
            "tlscacert": certificates / "ca.pem",
            "tlscert": certificates / "cert.pem",
            "tlskey": certificates / "key.pem",
            "data-root": self.directory / "data",
            "exec-root": self.directory / "exec",
            "pidfile": self.directory / "pid",
            "bridge": self._bridge,
            "iptables": "false",
            "ip-forward": "false",
            "ip-masq": "false",
            "default-address-pool": "base=10.213.77.0/28,size=29",  # two networks, and there are no more
        }
        return ["dockerd", *(f"--{name}={value}" for name, value in options.items())]

    def _wait(self) -> docker.APIClient:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self.alive():
            with contextlib.suppress(docker.errors.DockerException):
                return _PlainClient(version="auto", timeout=60, **kwargs_from_env(environment=self.settings))
            time.sleep(0.05)
        raise AssertionError("the second engine does not start: " + (self.directory / "log").read_text()[-2000:])

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def _mounts(self) -> list[str]:
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return sorted((path for path in mounted if path.startswith(str(self.directory))), reverse=True)
