"""Tests of `studio.runs`."""
