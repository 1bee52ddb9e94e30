"""The Docker Engine behind the catalogue's ports."""
