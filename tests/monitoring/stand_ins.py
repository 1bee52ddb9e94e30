"""An engine of its own with stand-ins for the stack's images: Debian's Prometheus and Alertmanager, and no Grafana."""

import io
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from server.monitoring import images
from tests.monitoring.prometheus import program
from tests.real.second_engine import SecondEngine

TEMPLATES: Final = "/usr/share/prometheus/alertmanager"
"""Debian's Alertmanager looks for them at its start."""
_APPLETS: Final = ("cat", "httpd", "id", "mkdir", "sh", "sleep", "wget")
_GRAFANA: Final = (
    "trap exit TERM; mkdir -p /tmp/www/api; echo ok > /tmp/www/api/health; "
    "httpd -f -p 127.0.0.1:$GF_SERVER_HTTP_PORT -h /tmp/www & wait"
)


class StackEngine(SecondEngine):
    """Answers on a socket of this machine as well, as the monitoring stack wants it."""

    @property
    def socket(self) -> str:
        return f"unix://{self.directory}/engine.sock"

    def bring_images(self) -> None:
        """Make what the stack pulls elsewhere, under the names that are pinned."""
        programs = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
        for image in images():
            repository, _, tag = image.partition(":")
            name = programs.get(repository.rpartition("/")[2])
            start = [f"/bin/{name}"] if name else ["/bin/sh", "-c", _GRAFANA]
            entry = "ENTRYPOINT [" + ", ".join(f'"{word}"' for word in start) + "]"
            packed = _root_folder([program(name)] if name else [])
            self.api.import_image_from_data(packed, repository=repository, tag=tag, changes=[entry])

    def _command(self, certificates: Path) -> list[str]:
        return [*super()._command(certificates), f"--host={self.socket}"]


def _root_folder(programs: list[str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add("/bin/busybox", "bin/busybox")
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        archive.add(TEMPLATES, TEMPLATES.lstrip("/"))
        for each in programs:
            archive.add(each, f"bin/{Path(each).name}")
            told = subprocess.run(["ldd", each], capture_output=True, text=True, check=True).stdout
            for library in re.findall(r"(/\S+)(?= \()", told):
                archive.add(Path(library).resolve(), library.lstrip("/"))
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    return packed.getvalue()
