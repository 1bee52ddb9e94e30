"""Database URLs as people mistype them: a clear answer, and never a part of the password."""

import pytest

from tests.cli.command import complaint, docker_mcp, finding
from tests.conftest import SEALING_KEY, free_port

PASSWORDS = ["ses/ame", "ses@ame", "ses#ame", "ses[ame", "ses%ame"]


@pytest.mark.promise("P6")
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_that_was_not_percent_encoded_is_not_repeated(password: str) -> None:
    url = f"postgresql://bob:{password}@127.0.0.1:{free_port()}/log"
    done = docker_mcp("doctor", "--json", env={"DOCKER_MCP_DATABASE_URL": url, "DOCKER_MCP_SEALING_KEY": SEALING_KEY})
    assert done.returncode in (1, 2)
    assert "ses" not in done.stdout + done.stderr
    assert "ame@" not in done.stdout + done.stderr


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "url",
    [
        "mysql://bob:sesame@host/log",
        "bob:sesame@host/log",
        "sqlite:sesame.db",
        "postgresql://",
        "postgresql://bob:sesame@127.0.0.1:port/log",
        "postgresql://bob:sesame@127.0.0.1/log?no_such_option=1",
    ],
)
def test_a_url_that_is_not_understood_stops_the_start(url: str) -> None:
    done = docker_mcp("migrate", env={"DOCKER_MCP_DATABASE_URL": url, "DOCKER_MCP_SEALING_KEY": SEALING_KEY})
    assert done.returncode == 2
    assert "DOCKER_MCP_DATABASE_URL" in complaint(done)
    assert "postgresql://user@host/database" in complaint(done)
    assert "sesame" not in complaint(done)


@pytest.mark.promise("P6")
@pytest.mark.parametrize("form", ["postgresql://bob:sesame@{}/log", "postgresql:///log?host=127.0.0.1&password=sesame"])
def test_a_server_that_does_not_answer_is_named_without_the_password(form: str) -> None:
    url = form.format(f"127.0.0.1:{free_port()}") + ("&" if "?" in form else "?") + f"port={free_port()}"
    log = {"DOCKER_MCP_DATABASE_URL": url, "DOCKER_MCP_SEALING_KEY": SEALING_KEY}
    done = docker_mcp("doctor", "--json", env=log)
    assert done.returncode == 1
    assert "postgresql 127.0.0.1/log" in finding("log", done)["seen"]
    assert "DOCKER_MCP_DATABASE_URL" in finding("log", done)["fix"]
    refused = docker_mcp("audit", env=log)
    assert refused.returncode == 1
    assert "log_unavailable" in complaint(refused)
    assert "sesame" not in done.stdout + done.stderr + refused.stderr
