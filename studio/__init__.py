"""The studio: library, runs and the command line. The top layer; it wires trainers and pipelines."""
