"""The user's adapters, datasets and previews on disk."""
