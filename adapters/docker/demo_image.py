"""An image for the demo, on machines that have no registry: a root folder with a static busybox in it."""

import io
import tarfile
from pathlib import Path
from typing import Final

from adapters.docker.engine import Engine
from adapters.docker.errors import explained

NAME: Final = "docker-mcp-demo"
FROM_REGISTRY: Final = "busybox:latest"
_BUSYBOX: Final = (Path("/bin/busybox"), Path("/usr/bin/busybox"))
_APPLETS: Final = ("cat", "echo", "httpd", "sh", "sleep", "true", "wget")
_DYNAMIC_LOADER: Final = b"/ld-"


def provide_image(engine: Engine) -> str:
    """Return the name of an image with a shell: ours if it is there or can be made, else one that will be pulled.

    Raises:
        EngineError: if the engine does not answer.
    """
    with explained():
        if engine.api.images(name=f"{NAME}:latest"):
            return f"{NAME}:latest"
    busybox = next((path for path in _BUSYBOX if path.is_file() and _is_static(path)), None)
    if busybox is None:
        return FROM_REGISTRY
    with explained():
        engine.api.import_image_from_data(_root_folder(busybox), repository=NAME, tag="latest")
    return f"{NAME}:latest"


def _is_static(path: Path) -> bool:
    with path.open("rb") as file:
        return _DYNAMIC_LOADER not in file.read(4096)


def _root_folder(busybox: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(busybox, "bin/busybox")
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    return packed.getvalue()
