"""What a list of tools costs a language model, and what it may cost."""

import json
from typing import Any, Final

MOST_TOKENS: Final = 4000


def tokens(shown: Any) -> float:
    """Return about how many tokens ``shown`` takes as JSON: a token is four characters, as a rule of thumb."""
    return len(json.dumps(shown, separators=(",", ":"))) / 4
