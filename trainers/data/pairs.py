"""Preference pairs to tokens: a prompt with either answer, of which that answer alone is learned from."""

from collections.abc import Sequence
from dataclasses import replace

from trainers.data.chat import ChatEncoder, Encoded, Encodings, encode_rows
from trainers.data.chat_template import Tools
from trainers.data.texts import Message, TextRow
from trainers.errors import UserError

Pair = tuple[Encoded, Encoded]
"""Chosen and rejected."""
MARKS = ("chosen", "rejected")
"""What the two are called where each is shown."""


def encode_pairs(
    rows: Sequence[TextRow], encoder: ChatEncoder, max_length: int, *, cut_long: bool, context_tokens: int
) -> tuple[list[Pair], Encodings]:
    """Return the pairs, and what was found in encoding their answers: chosen, rejected, chosen …

    A pair of which one answer is cut away is left out whole.

    Raises:
        UserError: rows are too long and may not be cut, or nothing is left.
    """
    both = [replace(row, text=answer) for row in rows for answer in (row.chosen, row.rejected)]
    found = encode_rows(
        both,
        lambda row: encode_answer(encoder, row.messages, row.text, row.where, row.tools),
        max_length=max_length,
        cut_long=cut_long,
        context_tokens=context_tokens,
        together=len(MARKS),
    )
    return list(zip(found.rows[::2], found.rows[1::2], strict=True)), found


def encode_answer(
    encoder: ChatEncoder, messages: Sequence[Message], answer: str, where: str, tools: Tools = ()
) -> Encoded:
    """Return a prompt with one answer; that answer alone is learned from, not what the assistant said before."""
    chat = (*messages, {"role": "assistant", "content": answer})
    return encoder.chat(chat, where, not_learned=range(len(messages)), tools=tools)


def refuse_packing(packing: bool) -> None:
    """Refuse what only single texts allow.

    Raises:
        UserError: it was asked for.
    """
    if packing:
        raise UserError(
            "packing = True is for single texts that are foreseen word by word; this stage looks at each text or pair "
            "as a whole. Leave it out."
        )
