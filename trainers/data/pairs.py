"""Preference pairs to tokens: a prompt with either answer, of which that answer alone is learned from."""

from collections.abc import Sequence
from dataclasses import replace

from trainers.data.chat import ChatEncoder, Encoded, Encodings, encode_rows
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

    Raises:
        UserError: rows are too long and may not be cut, or are cut before their answers.
    """
    both = [replace(row, text=answer) for row in rows for answer in (row.chosen, row.rejected)]
    found = encode_rows(
        both,
        lambda row: encode_answer(encoder, row.messages, row.text, row.where),
        max_length=max_length,
        cut_long=cut_long,
        context_tokens=context_tokens,
    )
    if found.left_out:
        raise UserError(
            f"Cut to {max_length} tokens, {found.left_out} answers are gone with their ends. Raise --max-length."
        )
    return list(zip(found.rows[::2], found.rows[1::2], strict=True)), found


def encode_answer(encoder: ChatEncoder, messages: Sequence[Message], answer: str, where: str) -> Encoded:
    """Return a prompt with one answer; that answer alone is learned from, not what the assistant said before."""
    whole = encoder.chat((*messages, {"role": "assistant", "content": answer}), where)
    before = len(encoder.prompt(messages, where))
    return Encoded(whole.numbers, tuple(own and n >= before for n, own in enumerate(whole.trained)))


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
