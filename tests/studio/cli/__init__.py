"""Tests of `studio.cli`."""
