"""Runs: their folders, their queue, and the kinds of work that they do."""
