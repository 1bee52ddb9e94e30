"""An engine reached over TCP with mutual TLS: trusted both ways, or refused with the reason."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.real.calls import SLEEP, Calls, Name
from tests.real.certificates import Authority
from tests.real.second_engine import SecondEngine

pytestmark = pytest.mark.anyio


async def refusal(serve: Serve, **settings: Any) -> tuple[str, str, str]:
    async with serve(**settings) as application:
        error = await Calls(application).refused("system-info")
    return error.code, error.message, error.hint


@pytest.mark.parametrize("others", [None, "/etc/ssl/certs/ca-certificates.crt", "/no/such/bundle.crt"])
async def test_an_engine_behind_mutual_tls_is_served_whatever_other_authorities_there_are(
    serve: Serve, second_engine: SecondEngine, name: Name, monkeypatch: pytest.MonkeyPatch, others: str | None
) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
        if others:
            monkeypatch.setenv(variable, others)
    async with serve(**second_engine.settings) as application:
        call = Calls(application)
        info = await call("system-info")
        created = await call("create-container", image=second_engine.image, name=name(), command=SLEEP)
        listed = await call("list-containers")
        removed = await call("remove-container", container_name=name(), force=True)
    assert info["engine_id"] == second_engine.api.info()["ID"]
    assert created["state"] == "running"
    assert [row["name"] for row in listed["containers"]] == [name()]
    assert removed["name"] == name()
    assert second_engine.api.containers(all=True, filters={"name": name()}) == []


async def test_an_engine_of_another_authority_is_not_trusted(
    serve: Serve, second_engine: SecondEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Path(second_engine.settings["DOCKER_CERT_PATH"])
    ours = Authority().equip(tmp_path / "ours", "client")
    for file in ("cert.pem", "key.pem"):
        (ours / file).write_bytes((theirs / file).read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(theirs / "ca.pem"))  # must not count
    code, message, hint = await refusal(serve, **{**second_engine.settings, "DOCKER_CERT_PATH": str(ours)})
    assert code == "engine_unreachable"
    assert "certificate" in message
    assert "DOCKER_CERT_PATH" in hint


async def test_an_engine_that_does_not_trust_us_is_told_from_one_that_is_away(
    serve: Serve, second_engine: SecondEngine, tmp_path: Path
) -> None:
    ours = Authority().equip(tmp_path / "ours", "client")
    (ours / "ca.pem").write_bytes((Path(second_engine.settings["DOCKER_CERT_PATH"]) / "ca.pem").read_bytes())
    code, message, hint = await refusal(serve, **{**second_engine.settings, "DOCKER_CERT_PATH": str(ours)})
    assert code == "engine_unreachable"
    assert "certificate" in message or "unknown ca" in message
    assert "DOCKER_CERT_PATH" in hint


async def test_plain_talk_to_an_engine_behind_tls_is_refused_with_its_own_words(
    serve: Serve, second_engine: SecondEngine
) -> None:
    code, message, _ = await refusal(serve, DOCKER_HOST=second_engine.settings["DOCKER_HOST"])
    assert code == "engine_unreachable"
    assert "HTTPS" in message


async def test_certificates_alone_do_not_switch_to_a_tls_that_trusts_everybody(
    serve: Serve, second_engine: SecondEngine
) -> None:
    settings = {key: value for key, value in second_engine.settings.items() if key != "DOCKER_TLS_VERIFY"}
    code, message, _ = await refusal(serve, **settings)
    assert code == "engine_unreachable"
    assert "HTTPS" in message


async def test_missing_certificates_are_a_configuration_error(
    serve: Serve, second_engine: SecondEngine, tmp_path: Path
) -> None:
    code, message, hint = await refusal(serve, **{**second_engine.settings, "DOCKER_CERT_PATH": str(tmp_path / "no")})
    assert code == "configuration"
    assert "DOCKER_CERT_PATH" in message
    assert "ca.pem" in hint


async def test_tls_without_an_address_is_a_configuration_error(serve: Serve, second_engine: SecondEngine) -> None:
    settings = {key: value for key, value in second_engine.settings.items() if key != "DOCKER_HOST"}
    code, message, _ = await refusal(serve, **settings)
    assert code == "configuration"
    assert "DOCKER_HOST" in message
