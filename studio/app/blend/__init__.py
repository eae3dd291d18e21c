"""The Blend tab."""
