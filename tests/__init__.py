"""Tests, mirroring the packages. Real classes at toy size; each test can fail."""
