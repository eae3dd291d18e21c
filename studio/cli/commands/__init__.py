"""Subcommands of ``studio``, one file each."""
