"""Inference: load a base, attach adapters, generate, compare, blend. The middle layer.

It imports `trainers.methods` (to load an adapter is to know its method) and never the training loop.
"""
