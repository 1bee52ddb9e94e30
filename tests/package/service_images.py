"""Images of PostgreSQL and HAProxy that take what the official ones take, made of this machine's programs."""

import io
import shutil
import tarfile
from pathlib import Path
from typing import Final

import docker
import pytest

from tests.conftest import postgres_programs
from tests.package.base_image import BUSYBOX, libraries, put

_APPLETS: Final = ["sh", "cat", "chown", "echo", "mkdir", "printf", "rm", "su"]

# As the official image: the database is made by a server that listens on its socket alone.
_POSTGRES: Final = """#!/bin/sh
set -e
data=/var/lib/postgresql/data
as() { su -s /bin/sh postgres -c "$1"; }
mkdir -p $data && chown postgres $data
if [ ! -e $data/PG_VERSION ]; then
    umask 077
    cat "$POSTGRES_PASSWORD_FILE" >/tmp/password && chown postgres /tmp/password
    options="-E UTF8 --locale=C -A scram-sha-256 --auth-local=trust"
    as "initdb -D $data -U $POSTGRES_USER --pwfile=/tmp/password $options" >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    as "pg_ctl -D $data -w -o \\"-c listen_addresses=''\\" start" >/dev/null
    echo "CREATE DATABASE $POSTGRES_DB" | as "psql -q -U $POSTGRES_USER -d postgres"
    as "pg_ctl -D $data -m fast -w stop" >/dev/null
fi
exec su -s /bin/sh postgres -c "exec postgres -D $data -c listen_addresses='*'"
"""


def import_postgres(engine: docker.APIClient, name: str) -> None:
    """Make an image of this machine's PostgreSQL."""
    programs = postgres_programs()
    version = programs.parent.name
    used = [programs / each for each in ("postgres", "initdb", "pg_ctl", "pg_isready", "psql")]
    modules = [programs.parent / "lib" / each for each in ("dict_snowball.so", "plpgsql.so")]
    with _Image(engine, name, [f"ENV PATH={programs}:/bin", 'ENTRYPOINT ["/start"]']) as tar:
        for file in [*used, *modules, Path("/usr/share/postgresql") / version]:
            tar.add(file.resolve(), str(file).lstrip("/"))
        _with_libraries(tar, [*used, *modules])
        put(tar, "start", _POSTGRES.encode())
        put(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n")
        put(tar, "etc/group", b"root:x:0:\npostgres:x:999:\n")
        folder = tarfile.TarInfo("var/run/postgresql")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)


def import_haproxy(engine: docker.APIClient, name: str) -> None:
    """Make an image of this machine's HAProxy, which runs as the user of the official image."""
    found = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if found is None:
        pytest.fail("no HAProxy; install it with apt-get install haproxy")
    start = '["/usr/sbin/haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]'
    with _Image(engine, name, [f"ENTRYPOINT {start}", "USER 99:99"]) as tar:
        tar.add(found, "usr/sbin/haproxy")
        _with_libraries(tar, [Path(found)])
        put(tar, "etc/passwd", b"haproxy:x:99:99::/:/bin/sh\n")


class _Image:
    """An archive that becomes an image when it is whole."""

    def __init__(self, engine: docker.APIClient, name: str, changes: list[str]) -> None:
        self._engine = engine
        self._name = name
        self._changes = changes
        self._archive = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._archive, mode="w")  # noqa: SIM115 (closed when it is whole)

    def __enter__(self) -> tarfile.TarFile:
        self._tar.add(BUSYBOX, "bin/busybox")
        for applet in _APPLETS:
            put(self._tar, f"bin/{applet}", link="busybox")
        put(self._tar, "tmp/keep")
        return self._tar

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._tar.close()
        if kind is None:
            self._engine.import_image_from_data(self._archive.getvalue(), repository=self._name, changes=self._changes)


def _with_libraries(tar: tarfile.TarFile, programs: list[Path]) -> None:
    for library in libraries(programs):
        tar.add(library.resolve(), str(library).lstrip("/"))
