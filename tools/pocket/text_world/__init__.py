"""The texts of the pocket world: a grammar that writes, weighs and parses them, and voices to learn."""

from __future__ import annotations

from .documents import (
    Document,
    is_held_out,
    log_probability,
    messages_of,
    parses,
    parses_document,
    sample_document,
    sentences,
)

__all__ = [
    "Document",
    "is_held_out",
    "log_probability",
    "messages_of",
    "parses",
    "parses_document",
    "sample_document",
    "sentences",
]
