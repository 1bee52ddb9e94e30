"""Compose stacks: how their files are read, what they may hold, and what is deployed."""
