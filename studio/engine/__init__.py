"""Inference in a process of its own: the page stays up whatever happens there, and everybody shares one queue."""
