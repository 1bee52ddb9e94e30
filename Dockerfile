# docker-mcp as an image. It runs as a user of its own, who gets in touch with the engine through the group of its socket:
#
#   docker build -t docker-mcp-ledger .
#   docker run -i --rm --group-add "$(stat -c %g /var/run/docker.sock)" -v /var/run/docker.sock:/var/run/docker.sock \
#       -v docker-mcp:/var/lib/docker-mcp docker-mcp-ledger
#
# is a stdio server (never with -t or -d); deploy/compose.yaml runs servers over HTTP.

ARG PYTHON_IMAGE=python:3.13-slim-bookworm
ARG COMPOSE_IMAGE=docker/compose-bin:v2.40.3

FROM ${COMPOSE_IMAGE} AS compose

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
RUN python3 -m venv /opt/docker-mcp
COPY requirements.txt ./
RUN /opt/docker-mcp/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY adapters adapters
COPY server server
COPY migrations migrations
COPY dashboards dashboards
RUN /opt/docker-mcp/bin/pip install --no-cache-dir --no-deps .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="docker-mcp-ledger" \
      org.opencontainers.image.description="Runs Docker for AI agents over MCP and keeps a tamper-evident record of every call." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      io.modelcontextprotocol.server.name="io.github.docker-mcp-ledger/docker-mcp-ledger"
COPY --from=compose /docker-compose /usr/local/lib/docker/cli-plugins/docker-compose
COPY --from=build /opt/docker-mcp /opt/docker-mcp
RUN echo "docker-mcp:x:10001:10001::/var/lib/docker-mcp:/bin/false" >>/etc/passwd \
    && echo "docker-mcp:x:10001:" >>/etc/group \
    && mkdir -p /var/lib/docker-mcp /etc/docker-mcp \
    && chown 10001:10001 /var/lib/docker-mcp /etc/docker-mcp \
    && chmod 700 /var/lib/docker-mcp
ENV PATH=/opt/docker-mcp/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/docker-mcp \
    DOCKER_MCP_STATE_DIR=/var/lib/docker-mcp \
    DOCKER_MCP_AUTH_FILE=/etc/docker-mcp/docker_mcp_auth.json
USER 10001:10001
WORKDIR /var/lib/docker-mcp
VOLUME ["/var/lib/docker-mcp", "/etc/docker-mcp"]
EXPOSE 3334
# A stdio server is as healthy as its client finds it; one that speaks TLS itself needs a check of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD tr '\0' ' ' </proc/1/cmdline | grep -qv ' http' \
    || python3 -c "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('DOCKER_MCP_PORT', '3334') + '/healthz', timeout=4)"
STOPSIGNAL SIGTERM
ENTRYPOINT ["docker-mcp"]
CMD ["stdio"]
