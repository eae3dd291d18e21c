"""What is done to the running app to see that it holds; ``app_checks.py`` counts it, the tests assert it."""
