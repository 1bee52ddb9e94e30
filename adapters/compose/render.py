"""From a Compose file to what is deployed: checked by us, rendered by Compose with nothing to read, checked again."""

import re
from typing import Final

import orjson

from adapters.compose.runner import ComposeRunner, Finished
from domain.errors import InvalidArgumentsError
from domain.secrets import SEALED_MARK
from domain.stacks.model import StackModel, check_size, check_values, labelled
from domain.stacks.source import accepted_source
from domain.stacks.strict_yaml import Document, Path, parse_strict
from domain.text import column_text

_RELATIVE: Final = "/docker-mcp.relative"
NOWHERE: Final = _RELATIVE + "/nowhere" * 16
"""Where Compose takes the file to lie: so deep that no honest relative path leads out, and there is nothing there."""

_LIMIT_S: Final = 20
_MESSAGE_LIMIT: Final = 500
_WORD: Final = re.compile(r"[^\s\"'`:=,;()\[\]{}.]{4,}")
"""A word of a message; shorter ones are not hidden: no secret is that short."""
_UNSET: Final = re.compile(r'The \\"([^"\\]+)\\" variable is not set')
_WARNING: Final = re.compile(r"^time=\S+ level=\w+ msg=")
_PLACE: Final = re.compile(r"\b(?:services|networks|volumes|configs|secrets)(?:\.[^\s.:]+|\[\d+\])+")
_INTERPOLATION: Final = re.compile(r"invalid interpolation format for (\S+?)\.?$", re.MULTILINE)


class Renderer:
    """Turns Compose YAML into a model."""

    def __init__(self, runner: ComposeRunner) -> None:
        self._runner = runner

    def model(self, project: str, text: str, *, with_hashes: bool = True) -> StackModel:
        """Return the model of ``text`` as the stack ``project``.

        Raises:
            StrictYamlError: if it is not YAML of the strict kind.
            InvalidArgumentsError: if it is no Compose file, or asks for what is refused.
            ComposeMissingError: if the plugin is missing.
        """
        document = parse_strict(text)
        finished = self._compose(project, accepted_source(document), "config", "--format", "json")
        if finished.code:
            raise _explained(finished, document)
        if unset := sorted(set(_UNSET.findall(finished.errors))):
            raise InvalidArgumentsError(
                f"these variables have no value here: {', '.join(unset)}",
                hint="the server's environment is not used: write the value, ${NAME:-default}, or $$ for a plain $",
            )
        tree = labelled(project, orjson.loads(finished.output))
        check_size(tree)
        check_values(tree, _RELATIVE)
        model = StackModel(project, tree)
        return self.with_hashes(model) if with_hashes else model

    def with_hashes(self, model: StackModel) -> StackModel:
        """Return the model with Compose's own hash of each service."""
        finished = self._compose(model.project, model.text, "config", "--hash", "*")
        lines = (line.split() for line in finished.output.decode().splitlines())
        return StackModel(model.project, model.tree, {words[0]: words[1] for words in lines if len(words) == 2})

    def _compose(self, project: str, stdin: bytes, *arguments: str) -> Finished:
        return self._runner.run(
            [*compose_file_options(project), *arguments], stdin, limit_s=_LIMIT_S, with_engine=False
        )


def compose_file_options(project: str) -> list[str]:
    """Return the options by which Compose reads a file from standard input and nothing from anywhere else."""
    return ["--env-file", "/dev/null", "--project-directory", NOWHERE, "-p", project, "-f", "-"]


def _explained(finished: Finished, document: Document) -> InvalidArgumentsError:
    """Return what Compose says about the file, with the line, without the file's values."""
    if finished.timed_out or finished.code < 0:
        return InvalidArgumentsError("Compose could not read the file within its limits", hint="make it smaller")
    said = [line for line in finished.errors.splitlines() if line and not _WARNING.match(line)]
    message = "\n".join(said).removeprefix("validating -: ")
    if broken := _INTERPOLATION.search(message):
        message = f"{broken.group(1)}: invalid interpolation; write $$ for a plain $"
    named = _PLACE.search(message)
    message, quoted = _without_values(message, document)
    path = document.find(named.group()) if named else quoted
    place = f"{document.place(path)}: " if path and not named else f"line {document.line(path)}: " if path else ""
    return InvalidArgumentsError(place + column_text(message, _MESSAGE_LIMIT), hint="correct the file")


def _without_values(message: str, document: Document) -> tuple[str, Path]:
    """Return the message without the words of the file's values, and the path of the first value it quotes."""
    names, values = document.names(), list(document.texts())
    quoted: Path = ()

    def hide(match: re.Match[str]) -> str:
        nonlocal quoted
        word = match.group()
        if word in names:
            return word
        path = next((path for path, text in values if word in text), None)
        quoted = quoted or path or ()
        return word if path is None else SEALED_MARK

    return _WORD.sub(hide, message), quoted
