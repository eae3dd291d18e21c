"""Subcommands of ``studio text``, one file each."""
