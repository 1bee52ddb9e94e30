"""Settings: where they come from, in which order, and what a wrong one is answered with."""

import os
from pathlib import Path
from typing import Any

import pytest

from adapters.store.location import Location
from domain.errors import ConfigurationError
from server.http import check_exposure
from server.settings import Settings, load_settings

WRONG = {
    "DOCKER_MCP_PORT": (["", "many", "0", "65536", "-1", "3334.5", "0x10"], ["at least 1", "at most 65535"]),
    "DOCKER_MCP_HOST": (["", "two words", "a/b", "ümlaut", "[::1]", "h" * 254], ["^[A-Za-z0-9:._-]{1,253}$"]),
    "DOCKER_MCP_TLS": (["", "yes", "proxied", "TERMINATED-UPSTREAM"], ["'terminated-upstream'"]),
    "MCP_AUTH_SECRET": (["", "short", "only-15-letters"], ["at least 16"]),
    "DOCKER_MCP_TOKEN_LIFETIME_S": (["", "0", "59", "2592001", "1.5", "soon"], ["at least 60", "at most 2592000"]),
    "DOCKER_MCP_READ_ONLY": (["", "perhaps", "2"], ["boolean"]),
    "LOG_LEVEL": (["", "debug", "TRACE", "10"], ["'DEBUG'", "'INFO'", "'WARNING'", "'ERROR'", "'CRITICAL'"]),
    "DOCKER_MCP_LOG_FORMAT": (["", "JSON", "human"], ["'text'", "'json'"]),
    "DOCKER_MCP_METRICS_TOKEN": (["", "short", "only-15-letters"], ["at least 16"]),
    "DOCKER_MCP_STDIO_ROLE": (["", "Root", "two words", "-admin", "r" * 33], ["^[a-z0-9][a-z0-9_-]{0,31}$"]),
    "DOCKER_MCP_APPEND_TIMEOUT_S": (["", "0", "61", "nan", "inf", "soon"], ["more than 0", "at most 60"]),
    "DOCKER_MCP_ENGINE_TIMEOUT_S": (["", "0", "3601", "1.5"], ["at least 1", "at most 3600"]),
    "DOCKER_MCP_ENGINE_WORKERS": (["", "0", "257"], ["at least 1", "at most 256"]),
    "DOCKER_MCP_ENGINE_EVENTS": (["", "perhaps", "2"], ["boolean"]),
    "DOCKER_MCP_ENGINE_EVENTS_PER_SECOND": (["", "0", "10001"], ["at least 1", "at most 10000"]),
    "DOCKER_MCP_QUEUE_LIMIT": (["", "0", "100001"], ["at least 1", "at most 100000"]),
    "DOCKER_MCP_WAITING_LIMIT": (["", "0", "10001"], ["at least 1", "at most 10000"]),
    "DOCKER_MCP_REFUSALS_PER_MINUTE": (["", "0", "100001"], ["at least 1", "at most 100000"]),
    "DOCKER_MCP_DISK_RESERVE_MIB": (["", "-1", "1048577"], ["at least 0", "at most 1048576"]),
    "DOCKER_MCP_CHECKPOINT_EVENTS": (["", "0", "1000001"], ["at least 1", "at most 1000000"]),
    "DOCKER_MCP_CHECKPOINT_INTERVAL_S": (["", "0", "604801"], ["at least 1", "at most 604800"]),
    "DOCKER_MCP_VERIFY_INTERVAL_S": (["", "0", "31536001"], ["at least 1", "at most 31536000"]),
    "DOCKER_MCP_SHUTDOWN_GRACE_S": (["", "-1", "301", "nan"], ["at least 0", "at most 300"]),
}
CASES = [(name, value, allowed) for name, (values, allowed) in WRONG.items() for value in values if value]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The .env file in the user's configuration directory."""
    folder = tmp_path / "config" / "docker-mcp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / ".env"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and the .env file that may lie in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder / ".env"


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text)
    file.chmod(mode)


@pytest.mark.promise("P6")
@pytest.mark.parametrize(("name", "value", "allowed"), CASES)
def test_a_wrong_value_is_answered_with_name_problem_and_allowed_values(
    name: str, value: str, allowed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    told = caught.value.describe()
    assert f"{name}: " in told
    assert all(word in told for word in allowed)
    assert len(value) < 3 or value not in told.replace(name, ""), "the value is repeated"


def test_every_setting_with_limits_is_tried() -> None:
    free = {"DOCKER_MCP_DATABASE_URL", "DOCKER_MCP_STATE_DIR", "DOCKER_MCP_SEALING_KEY"}
    free |= {"DOCKER_MCP_NEW_SEALING_KEY", "DOCKER_MCP_NEW_DATABASE_URL", "DOCKER_MCP_SIGNING_KEY"}
    free |= {"DOCKER_MCP_CHECKPOINTS_TO", "DOCKER_MCP_READER_URL"}
    free |= {"DOCKER_MCP_COMPOSE", "DOCKER_MCP_COMPOSE_ROOTS", "DOCKER_MCP_AUTH_FILE", "DOCKER_MCP_TOKEN"}
    free |= {"DOCKER_MCP_ALLOWED_HOSTS", "DOCKER_MCP_TLS_CERT", "DOCKER_MCP_TLS_KEY", "DOCKER_MCP_TOOLSETS"}
    engine = {"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"}
    assert set(Settings.model_fields) - free - engine == set(WRONG)


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_MCP_PORT", "many")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(ConfigurationError, match=r"DOCKER_MCP_PORT: .*; LOG_LEVEL: "):
        load_settings()


def test_every_setting_has_a_default_and_a_description() -> None:
    assert load_settings(DOCKER_MCP_PORT=None).DOCKER_MCP_PORT == 3334
    assert load_settings().LOG_LEVEL == "INFO"
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", WRONG)
def test_an_empty_variable_counts_as_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    default = getattr(load_settings(), name)
    monkeypatch.setenv(name, "")
    assert getattr(load_settings(), name) == default


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config_file, "DOCKER_MCP_PORT=4001\n")
    assert load_settings().DOCKER_MCP_PORT == 4001
    monkeypatch.setenv("DOCKER_MCP_PORT", "4002")
    assert load_settings().DOCKER_MCP_PORT == 4002
    assert load_settings(DOCKER_MCP_PORT=4003).DOCKER_MCP_PORT == 4003
    assert load_settings(DOCKER_MCP_PORT=None).DOCKER_MCP_PORT == 4002
    monkeypatch.setenv("DOCKER_MCP_PORT", "")
    assert load_settings().DOCKER_MCP_PORT == 4001


def test_an_empty_value_in_the_file_counts_as_not_set(config_file: Path) -> None:
    write(config_file, "DOCKER_MCP_PORT=\nLOG_LEVEL=DEBUG\n")
    assert (load_settings().DOCKER_MCP_PORT, load_settings().LOG_LEVEL) == (3334, "DEBUG")


def test_names_are_taken_as_they_are_written(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config_file, "docker_mcp_port=4001\n")
    monkeypatch.setenv("log_level", "DEBUG")
    assert (load_settings().DOCKER_MCP_PORT, load_settings().LOG_LEVEL) == (3334, "INFO")


def test_variables_of_others_in_the_file_are_nobodys_business(config_file: Path) -> None:
    write(config_file, "OTHER=1\n# a remark\n\nexport LOG_LEVEL=DEBUG\n")
    assert load_settings().LOG_LEVEL == "DEBUG"


def test_a_named_file_replaces_the_one_of_the_configuration_directory(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config_file, "DOCKER_MCP_PORT=4001\nLOG_LEVEL=DEBUG\n")
    write(tmp_path / "named", "DOCKER_MCP_PORT=4002\n")
    monkeypatch.setenv("DOCKER_MCP_ENV_FILE", str(tmp_path / "named"))
    assert (load_settings().DOCKER_MCP_PORT, load_settings().LOG_LEVEL) == (4002, "INFO")
    monkeypatch.setenv("DOCKER_MCP_ENV_FILE", "")
    assert load_settings().DOCKER_MCP_PORT == 4001


@pytest.mark.parametrize("problem", ["missing", "folder", "binary"])
def test_a_named_file_that_cannot_be_read_stops_the_start(
    problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named"
    if problem == "folder":
        named.mkdir()
    if problem == "binary":
        named.write_bytes(b"LOG_LEVEL=\xff\xfe\n")
    monkeypatch.setenv("DOCKER_MCP_ENV_FILE", str(named))
    with pytest.raises(ConfigurationError, match=r"DOCKER_MCP_ENV_FILE names no file|\.env file cannot be read"):
        load_settings()


def test_the_file_of_the_working_directory_is_read_only_when_asked_for(here: Path) -> None:
    write(here, "DOCKER_MCP_PORT=4001\n")
    assert load_settings().DOCKER_MCP_PORT == 3334
    assert load_settings(use_working_directory=True).DOCKER_MCP_PORT == 4001


def test_without_a_file_in_the_working_directory_the_usual_one_is_read(config_file: Path, here: Path) -> None:
    write(config_file, "DOCKER_MCP_PORT=4001\n")
    assert load_settings(use_working_directory=True).DOCKER_MCP_PORT == 4001
    write(here, "LOG_LEVEL=DEBUG\n")
    assert load_settings(use_working_directory=True).DOCKER_MCP_PORT == 3334


def test_a_named_file_goes_before_the_working_directory(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here, "DOCKER_MCP_PORT=4001\n", mode=0o666)
    write(tmp_path / "named", "DOCKER_MCP_PORT=4002\n")
    monkeypatch.setenv("DOCKER_MCP_ENV_FILE", str(tmp_path / "named"))
    assert load_settings(use_working_directory=True).DOCKER_MCP_PORT == 4002


@pytest.mark.promise("P7")
@pytest.mark.parametrize("mode", [0o660, 0o606, 0o622])
def test_a_file_in_the_working_directory_that_others_can_write_is_refused(mode: int, here: Path) -> None:
    write(here, "DOCKER_MCP_STDIO_ROLE=admin\n", mode)
    with pytest.raises(ConfigurationError, match="can be written by others") as caught:
        load_settings(use_working_directory=True)
    assert caught.value.hint == "chmod 600 .env"


@pytest.mark.promise("P7")
def test_a_file_of_another_user_in_the_working_directory_is_refused(here: Path) -> None:
    if os.getuid() == 0:
        write(here, "DOCKER_MCP_STDIO_ROLE=admin\n")
        os.chown(here, 65534, 65534)
    else:
        here.symlink_to("/etc/passwd")
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        load_settings(use_working_directory=True)


def test_the_auth_file_lies_in_the_configuration_directory_unless_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().auth_file == tmp_path / "config" / "docker-mcp" / "docker_mcp_auth.json"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_MCP_AUTH_FILE", "~/auth.json")
    assert load_settings().auth_file == tmp_path / "auth.json"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        ("networks", {"networks"}),
        (" images, containers ,", {"images", "containers"}),
        (",", set()),
        ("containers,networks,stacks,images,system", {"containers", "networks", "stacks", "images", "system"}),
    ],
)
def test_toolsets_are_named_with_commas(given: str | None, wanted: set[str] | None) -> None:
    assert load_settings(DOCKER_MCP_TOOLSETS=given).toolsets == wanted


@pytest.mark.promise("P7")
@pytest.mark.parametrize("given", ["network", "networks;images", "Networks", "networks,audit"])
def test_an_unknown_toolset_is_answered_with_the_known_ones(given: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _ = load_settings(DOCKER_MCP_TOOLSETS=given).toolsets
    assert caught.value.describe() == (
        "configuration: DOCKER_MCP_TOOLSETS: 1 unknown - toolsets: containers, networks, stacks, images, system"
    )


def test_other_names_of_the_server_come_beside_those_of_this_machine() -> None:
    own = ("127.0.0.1", "localhost", "[::1]")
    assert load_settings().allowed_hosts == own
    assert load_settings(DOCKER_MCP_ALLOWED_HOSTS=" a.example ,b.example:8443,").allowed_hosts == (
        *own,
        "a.example",
        "b.example:8443",
    )


@pytest.mark.promise("P7")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "192.0.2.1", "localhost.example.org", "127.0.0.1.x"])
def test_beyond_this_machine_only_tls_is_spoken(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="beyond loopback the server speaks TLS only") as caught:
        check_exposure(load_settings(DOCKER_MCP_HOST=host))
    assert "DOCKER_MCP_TLS_CERT" in str(caught.value.hint)
    assert "DOCKER_MCP_TLS=terminated-upstream" in str(caught.value.hint)

    check_exposure(load_settings(DOCKER_MCP_HOST=host, DOCKER_MCP_TLS="terminated-upstream"))
    (tmp_path / "pem").touch()
    check_exposure(
        load_settings(DOCKER_MCP_HOST=host, DOCKER_MCP_TLS_CERT=tmp_path / "pem", DOCKER_MCP_TLS_KEY=tmp_path / "pem")
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_this_machine_tls_is_not_needed(host: str) -> None:
    check_exposure(load_settings(DOCKER_MCP_HOST=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("given", ["DOCKER_MCP_TLS_CERT", "DOCKER_MCP_TLS_KEY"])
def test_certificate_and_key_belong_together_and_can_be_read(given: str, host: str, tmp_path: Path) -> None:
    (tmp_path / "pem").touch()
    one: dict[str, Any] = {given: tmp_path / "pem"}
    with pytest.raises(ConfigurationError, match="belong together"):
        check_exposure(load_settings(DOCKER_MCP_HOST=host, **one))
    pair: dict[str, Any] = dict.fromkeys(["DOCKER_MCP_TLS_CERT", "DOCKER_MCP_TLS_KEY"], tmp_path / "pem")
    pair[given] = tmp_path / "gone"
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*gone"):
        check_exposure(load_settings(DOCKER_MCP_HOST=host, **pair))


@pytest.mark.parametrize(
    "name", ["plain", "with space", "per%20cent", "%zz", "que?st", "ha#sh", "ümlaut", "a&b=c;d", "~tilde"]
)
def test_the_database_lies_in_the_state_directory_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_MCP_STATE_DIR", str(tmp_path / name))
    assert Location.parse(load_settings().database_url).path == tmp_path / name / "ledger.db"


def test_a_home_directory_in_the_state_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings(DOCKER_MCP_STATE_DIR="~/log").state_dir == tmp_path / "log"
    monkeypatch.chdir(tmp_path)
    assert load_settings(DOCKER_MCP_STATE_DIR="~no-such-user/log").state_dir == tmp_path / "~no-such-user" / "log"


def test_a_relative_state_directory_stays_where_the_process_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(DOCKER_MCP_STATE_DIR="log").state_dir == tmp_path / "log"


def test_the_docker_client_is_told_only_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert load_settings().docker_environment == {}
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "")
    assert load_settings().docker_environment == {"DOCKER_HOST": "tcp://127.0.0.1:2375"}


def test_the_digest_changes_with_each_setting() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"DOCKER_MCP_PORT": 4001},
        {"LOG_LEVEL": "DEBUG"},
        {"DOCKER_MCP_STDIO_ROLE": "user"},
        {"DOCKER_MCP_APPEND_TIMEOUT_S": 1},
        {"DOCKER_MCP_STATE_DIR": "/elsewhere"},
        {"DOCKER_MCP_SEALING_KEY": "given"},
        {"DOCKER_HOST": "tcp://127.0.0.1:2375"},
        {"DOCKER_MCP_HOST": "0.0.0.0"},
        {"DOCKER_MCP_TLS": "terminated-upstream"},
        {"DOCKER_MCP_AUTH_FILE": "/elsewhere/auth.json"},
        {"DOCKER_MCP_TOKEN_LIFETIME_S": 60},
        {"DOCKER_MCP_READ_ONLY": True},
        {"DOCKER_MCP_TOOLSETS": "networks"},
    ]
    assert len({load_settings(**change).digest() for change in changes}) == len(changes)
    assert load_settings().digest() == load_settings().digest()


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "name", ["DOCKER_MCP_SEALING_KEY", "DOCKER_MCP_DATABASE_URL", "MCP_AUTH_SECRET", "DOCKER_MCP_TOKEN"]
)
def test_a_secret_is_in_no_digest_and_no_text_of_the_settings(name: str) -> None:
    given: list[dict[str, Any]] = [{name: "sesame-0123456789"}, {name: "mustard-0123456789"}]
    one, other = (load_settings(**each) for each in given)
    assert one.digest() == other.digest()
    assert "sesame" not in f"{one!r} {one} {one.model_dump()} {one.model_dump_json()}"


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().DOCKER_MCP_PORT = 1  # type: ignore[misc]
