"""What a person can ask for: each operation once, for the command line, the app and its endpoints."""
