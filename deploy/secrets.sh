#!/usr/bin/env bash
# Makes the secrets of deploy/compose.yaml in ./secrets, once: what is there stays as it is.
# A certificate with its key (PEM, one after the other) has to be put into secrets/tls.pem.
set -euo pipefail
umask 077
mkdir -p secrets
if [ -e secrets/docker-mcp.env ]; then
    echo "secrets/docker-mcp.env is there already" >&2
    exit 1
fi
password=$(openssl rand -hex 24)
printf %s "$password" >secrets/database-password
cat >secrets/docker-mcp.env <<END
DOCKER_MCP_DATABASE_URL=postgresql://docker_mcp:$password@database/docker_mcp
MCP_AUTH_SECRET=$(openssl rand -base64 32)
DOCKER_MCP_SEALING_KEY=$(openssl rand -base64 32)
DOCKER_MCP_SIGNING_KEY=$(openssl rand -base64 32)
END
# Compose mounts a file with the owner that it has here; the servers run as 10001.
if [ "$(id -u)" = 0 ]; then
    chown 10001 secrets/docker-mcp.env
else
    echo "let the servers' user read it: sudo chown 10001 secrets/docker-mcp.env" >&2
fi
