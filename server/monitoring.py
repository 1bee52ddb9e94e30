"""The monitoring stack: the Compose file of ``dashboards``, made whole for one server.

The shipped file names its parts as files. Stacks are deployed without reading any file, so the parts go into the text,
with ports, password and addresses. What is shipped reaches the host (its network, and the log if that is wanted), which
host safety refuses to everybody: the one text that is made here is exempt, known by its digest, and only in the process
that a person has started for it.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Final

import yaml

from domain.catalogue.stacks import DeployCompose
from domain.catalogue.tool import Catalogue
from domain.trees import with_texts

PROJECT: Final = "docker-mcp-monitoring"
SQLITE_PLUGIN: Final = "frser-sqlite-datasource@4.0.6"

_DEPLOY: Final = "deploy-compose"
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")
_LOG_FOLDER: Final = "/log"
_OWNERS_VOLUME: Final = "grafana-of-owner"
"""Where a Grafana that runs as the log's owner keeps its things: those of its own user it could not write."""
_DIGEST_LABEL: Final = "monitoring.configuration"

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """How Grafana reads the log.

    Attributes:
        database: ``postgres`` or ``sqlite``: what the shipped files for it are called after.
        variables: of the Compose file.
        folder: of the host, mounted to be read; None for a log that is reached over the network.
        owner: as whom Grafana runs, ``uid:gid``, to read that folder.
    """

    database: str
    variables: Mapping[str, str] = field(repr=False)
    folder: str | None = None
    owner: str | None = None

    @classmethod
    def postgres(cls, *, host: str, database: str, user: str, password: str, sslmode: str) -> "Trail":
        """Return the way by a role of the log's PostgreSQL that may only read; ``host`` may end in a port."""
        variables = {
            "LOG_HOST": host,
            "LOG_DATABASE": database,
            "LOG_USER": user,
            "LOG_PASSWORD": password,
            "LOG_SSLMODE": sslmode,
        }
        return cls(database="postgres", variables=variables)

    @classmethod
    def sqlite(cls, *, folder: str, file: str, owner: str) -> "Trail":
        """Return the way by the folder of the SQLite log: the database keeps more than one file there."""
        variables = {"LOG_FILE": f"{_LOG_FOLDER}/{file}", "GRAFANA_PLUGINS": SQLITE_PLUGIN}
        return cls(database="sqlite", variables=variables, folder=folder, owner=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What one monitoring stack is made of.

    Attributes:
        targets: the servers that Prometheus scrapes, ``host:port``.
        https: they speak TLS. Their certificates are not checked: they are on this machine.
        metrics_token: what the endpoint wants to hear, if it wants anything.
        password: of Grafana's ``admin``.
        ports: of Grafana, Prometheus and Alertmanager, on loopback.
        trail: how Grafana reads the log; None leaves the audit trail out.
        alertmanager: a configuration in the place of the shipped one.
    """

    targets: Sequence[str]
    password: str = field(repr=False)
    https: bool = False
    metrics_token: str | None = field(default=None, repr=False)
    ports: tuple[int, int, int] = (3000, 9090, 9093)
    trail: Trail | None = None
    alertmanager: str | None = None

    def compose_yaml(self) -> str:
        """Return the Compose file with everything in it."""
        tree: Tree = _filled(yaml.safe_load(shipped("compose.yaml")), self._variables())
        if self.trail and self.trail.folder:
            grafana = tree["services"]["grafana"]
            grafana["user"] = self.trail.owner
            mount = {"type": "bind", "source": self.trail.folder, "target": _LOG_FOLDER, "read_only": True}
            grafana["volumes"] = [f"{_OWNERS_VOLUME}:/var/lib/grafana", mount]
            tree["volumes"][_OWNERS_VOLUME] = tree["volumes"].pop("grafana")
        contents = self._contents(tree["configs"])
        for service in tree["services"].values():
            service["configs"] = [each for each in service.get("configs", ()) if each["source"] in contents]
            used = "\n".join(contents[each["source"]] for each in service["configs"])
            service["labels"] = {_DIGEST_LABEL: hashlib.sha256(used.encode()).hexdigest()[:16]}
        tree["configs"] = {name: {"content": content} for name, content in contents.items()}
        return json.dumps(_literal(tree))

    def _variables(self) -> Mapping[str, str]:
        grafana, prometheus, alertmanager = map(str, self.ports)
        return {
            "GRAFANA_PORT": grafana,
            "PROMETHEUS_PORT": prometheus,
            "ALERTMANAGER_PORT": alertmanager,
            "GRAFANA_PASSWORD": self.password,
            **(self.trail.variables if self.trail else {}),
        }

    def _contents(self, configs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        contents = {name: shipped(each["file"]) for name, each in configs.items()}
        contents["prometheus"] = self._prometheus(contents["prometheus"])
        contents["alertmanager"] = self.alertmanager or contents["alertmanager"]
        if self.trail is None:
            del contents["datasource-log"], contents["audit-trail"]
        else:
            contents["datasource-log"] = shipped(f"grafana/provisioning/datasources/log-{self.trail.database}.yml")
            contents["audit-trail"] = shipped(f"grafana/audit-trail-{self.trail.database}.json")
        for name in ("operations", "audit-trail"):
            if name in contents:
                contents[name] = json.dumps(json.loads(contents[name]), separators=(",", ":"))
        return contents

    def _prometheus(self, text: str) -> str:
        tree = yaml.safe_load(text)
        (job,) = tree["scrape_configs"]
        job["static_configs"] = [{"targets": list(self.targets)}]
        if self.https:
            job |= {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}
        if self.metrics_token:
            job["authorization"] = {"credentials": self.metrics_token}
        tree["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{self.ports[2]}"]}]}]
        told: str = yaml.safe_dump(tree, sort_keys=False)
        return told


def images() -> list[str]:
    """Return the images of the stack, with their pinned tags."""
    return sorted(service["image"] for service in yaml.safe_load(shipped("compose.yaml"))["services"].values())


def shipped(path: str) -> str:
    """Return a shipped file's text, by its path below ``dashboards``."""
    return files("dashboards").joinpath(path).read_text(encoding="utf-8")


def exempting(catalogue: Catalogue, compose_yaml: str) -> Catalogue:
    """Return the catalogue with a ``deploy-compose`` that may ask the host for what this one text asks for."""
    digest = _digest(compose_yaml)
    deploy = catalogue.by_name(_DEPLOY)
    assert deploy is not None  # noqa: S101 (a test of the catalogue names every tool)

    def asks(command: DeployCompose, plan: Any) -> Any:
        exempt = command.project_name == PROJECT and _digest(command.compose_yaml) == digest
        return () if exempt else deploy.asks(command, plan)

    return Catalogue([replace(tool, asks=asks) if tool is deploy else tool for tool in catalogue])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _filled(tree: Any, variables: Mapping[str, str]) -> Any:
    """Return ``tree`` with the variables in its texts replaced by their values, else by their defaults."""
    return with_texts(tree, lambda text: _VARIABLE.sub(lambda found: variables.get(found[1], found[2] or ""), text))


def _literal(tree: Any) -> Any:
    """Return ``tree`` with each dollar doubled, as Compose wants those that are meant as dollars."""
    return with_texts(tree, lambda text: text.replace("$", "$$"))
