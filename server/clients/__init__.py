"""The configuration files of MCP clients: what belongs into each, and how it gets there."""
