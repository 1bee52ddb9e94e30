"""The examples of the product's first description, word for word, in an order in which they can be carried out."""

from typing import Final

CREATE: Final = """
  {
      "image": "nginx:latest",
      "name": "my-nginx",
      "ports": {"80": "8080"},
      "environment": {"ENV_VAR": "value"},
      "volumes": {"/host/path": "/container/path"},
      "networks": ["my-network"],
      "health_check": {
          "cmd": "curl -f http://localhost/ || exit 1",
          "interval": "30s",
          "retries": 3,
          "timeout": "10s",
          "start_period": "30s"
      },
      "resources": {
          "cpu": "0.5",
          "memory": "512m"
      },
      "restart_policy": "always"
  }
"""
CONTAINER: Final = '{"container_name": "my-nginx"}'
NETWORK: Final = '{"name": "my-network"}'
LINK: Final = '{"network": "my-network", "container": "my-nginx"}'

STORY: Final = (
    ("network-create", '{"name": "my-network", "driver": "bridge"}'),
    ("create-container", CREATE),
    ("list-containers", '{"all": true}'),
    ("get-logs", '{"container_name": "my-nginx", "tail": 100}'),
    ("stop-container", CONTAINER),
    ("start-container", CONTAINER),
    ("restart-container", CONTAINER),
    ("network-list", "{}"),
    ("network-inspect", NETWORK),
    ("network-disconnect", LINK),
    ("network-connect", LINK),
    ("remove-container", '{"container_name": "my-nginx", "force": true}'),
    ("network-remove", NETWORK),
)
DEPLOY: Final = r"""
  {
      "project_name": "my-stack",
      "compose_yaml": "version: '3.8'\nservices:\n  web:\n    image: nginx:latest\n    ports:\n      - '8080:80'"
  }
"""
STACK: Final = '{"project_name": "my-stack", "compose_file": "docker compose.yml"}'
SERVICE: Final = '{"project_name": "my-stack", "compose_file": "docker compose.yml", "service": "web"}'

STACK_STORY: Final = (
    ("deploy-compose", DEPLOY),
    ("compose-logs", SERVICE),
    ("compose-ps", STACK),
    ("compose-stop", SERVICE),
    ("compose-start", SERVICE),
    ("compose-restart", SERVICE),
)
AUDIT: Final = '{"username": "admin", "tool_name": "create-container", "status": "success", "limit": 10}'
