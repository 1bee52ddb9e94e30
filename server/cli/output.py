"""What a command prints: words for people, or one JSON document for programs."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from server.cli.audit_forms import json_text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def tell(text: str, tree: Mapping[str, Any], *, as_json: bool) -> None:
    """Print ``text``, or ``tree`` as JSON that cannot steer a terminal."""
    typer.echo(json_text(tree) if as_json else text)
