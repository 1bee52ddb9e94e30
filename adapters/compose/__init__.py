"""Compose stacks on one engine: Docker's own Compose plugin changes them, the engine's API shows them."""
