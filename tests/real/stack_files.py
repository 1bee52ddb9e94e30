"""Compose files for the tests, and what the engine holds of a stack."""

from typing import Any, Final

import docker

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
STACK: Final = "docker-mcp.stack"
SLEEPER: Final = "sh -c 'trap exit TERM; sleep 600 & wait'"


def three_services(image: str, greeting: str = "hello") -> str:
    """A web service that waits for a healthy database with a named volume, and a job that ends by itself."""
    return f"""
services:
  web:
    image: {image}
    command: sh -c 'trap exit TERM; echo $$GREETING; sleep 600 & wait'
    environment:
      GREETING: {greeting}
    depends_on:
      db: {{condition: service_healthy}}
    networks: [front, back]
  db:
    image: {image}
    command: {SLEEPER}
    healthcheck:
      test: test -d /data
      interval: 200ms
    volumes: [data:/data]
    networks: [back]
  job:
    image: {image}
    command: ["true"]
    depends_on: [db]
networks:
  front:
  back:
volumes:
  data:
"""


def one_service(image: str, **keys: Any) -> dict[str, Any]:
    return {"services": {"web": {"image": image, "command": SLEEPER, **keys}}}


def containers(engine: docker.APIClient, project: str) -> dict[str, dict[str, Any]]:
    """The stack's containers as inspected, by service."""
    found = engine.containers(all=True, filters={"label": f"{PROJECT}={project}"})
    return {entry["Labels"][SERVICE]: engine.inspect_container(entry["Id"]) for entry in found}


def ids(engine: docker.APIClient, project: str) -> dict[str, str]:
    return {service: found["Id"] for service, found in containers(engine, project).items()}


def running(engine: docker.APIClient, project: str) -> set[str]:
    return {service for service, found in containers(engine, project).items() if found["State"]["Running"]}


def file_in(engine: docker.APIClient, container: str, path: str) -> str:
    """What a file in a running container says."""
    made = engine.exec_create(container, ["cat", path])
    return bytes(engine.exec_start(made["Id"])).decode()


def write_in(engine: docker.APIClient, container: str, path: str, text: str) -> None:
    engine.exec_start(engine.exec_create(container, ["sh", "-c", f"echo -n {text} > {path}"])["Id"])
