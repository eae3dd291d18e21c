"""Tests of `studio.engine`."""
