"""The prompts of rows that hold answers too."""

from collections.abc import Sequence

from trainers.data.texts import TextRow
from trainers.errors import UserError


def prompts_of(rows: Sequence[TextRow]) -> list[TextRow]:
    """Return the prompts of rows of any form: what stands before the last answer.

    Raises:
        UserError: a row asks nothing.
    """
    found = []
    for row in rows:
        answered = bool(row.messages) and row.messages[-1]["role"] == "assistant"
        messages = row.messages[:-1] if answered else row.messages
        if not messages or messages[-1]["role"] not in ("user", "tool"):
            raise UserError(
                f"{row.where} has no question to answer: the last turn before an answer must be the user's."
            )
        found.append(TextRow(row.where, messages=messages, columns=row.columns, tools=row.tools))
    return found
