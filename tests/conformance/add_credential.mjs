// The suite knows no credentials, and the server takes no request without.
const send = globalThis.fetch;
globalThis.fetch = (input, init = {}) => {
  const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
  headers.set("Authorization", `Bearer ${process.env.DOCKER_MCP_TOKEN}`);
  return send(input, { ...init, headers });
};
