"""A real Prometheus with the shipped configuration, its times shortened to those of a test."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dashboards.files import FOLDER
from tests.conftest import free_port
from tests.waiting import wait_for

SHIPPED: Final = FOLDER.parent
STEP_S: Final = 2
SHORT: Final = re.compile(r"offset (?:5m|15m|1h)")


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"no {name}; scripts/test-parts.sh brings it")
    return found


class Prometheus:
    """Scrapes one server every second; the windows of the rules are five seconds."""

    def __init__(self, folder: Path, target: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        config = yaml.safe_load((SHIPPED / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        rules = SHORT.sub("offset 5s", (SHIPPED / "prometheus/rules.yml").read_text())
        (folder / "rules.yml").write_text(rules)
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        self.started = time.time()

    def now(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        found: list[dict[str, Any]] = self._get("query", query=expr)["result"]
        return found

    def lately(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of a range query over the time since it started."""
        asked = {"query": expr, "start": self.started, "end": time.time(), "step": STEP_S}
        found: list[dict[str, Any]] = self._get("query_range", **asked)["result"]
        return found

    def value(self, expr: str) -> float | None:
        """Return the value of an expression that has one series, None while it has none."""
        found = self.now(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def answers(self) -> bool:
        assert self.process.poll() is None, "Prometheus ended at its start"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10) as response:
                return bool(response.status == HTTPStatus.OK)
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._log.close()

    def _get(self, what: str, **parameters: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}"
        request = urllib.request.Request(url, urllib.parse.urlencode(parameters).encode() or None)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        assert answer["status"] == "success", answer
        assert not answer.get("warnings"), answer
        data: dict[str, Any] = answer["data"]
        return data


@contextmanager
def scraping(folder: Path, target: str) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped ``target`` at least once."""
    prometheus = Prometheus(folder, target)
    try:
        wait_for(prometheus.answers, what="Prometheus")
        wait_for(lambda: prometheus.value('up{job="docker-mcp"}') == 1, what="the first scrape")
        yield prometheus
    finally:
        prometheus.stop()
