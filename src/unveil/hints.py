"""What somebody may have meant by a word that nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

ALIKE = 0.55
"""How alike two words must be, from 0 to 1."""


def did_you_mean(word: str, choices: Iterable[str], show: Callable[[str], str] = repr) -> str:
    """The hint ``"; did you mean 'test'?"`` where a choice is close to the word, whatever its case; else nothing.

    Args:
        word: What was said.
        choices: What there is.
        show: How a choice is written.
    """
    lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(word.lower(), lower, 1, ALIKE)
    return f"; did you mean {show(lower[close[0]])}?" if close else ""
