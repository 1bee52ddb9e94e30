"""The promises of the product. Each test that proves one carries ``@pytest.mark.promise("P1")`` or another id."""

from typing import Final

PROMISES: Final = {
    "P1": "Nothing changes in Docker, and no data goes to the caller, before the command is durable in the log.",
    "P2": "Every tool call and prompt call is in the log: allowed, denied, malformed, unknown, cancelled, timed out. "
    "Of a flood of refused ones the log holds the first of each minute and the number of the others.",
    "P3": "The database itself refuses to update, delete or truncate the log.",
    "P4": "A changed, inserted, moved or removed record is found; a cut tail or a new history by a checkpoint.",
    "P5": "Every command gets exactly one final outcome, and its effect on Docker happens at most once.",
    "P6": "No value of a secret argument is readable in database, log lines, metrics, traces, messages or answers.",
    "P7": "What role or host safety does not allow is refused before the engine is asked to change anything.",
    "P8": "Read models are folds of the log: built anew, they are equal.",
    "P9": "Every queue, page, payload, log tail and wait has a limit, and past it there is a clear answer.",
}
