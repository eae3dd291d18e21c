"""Voices to learn: the same answers as a pirate, as a haiku, before a court."""

from __future__ import annotations
