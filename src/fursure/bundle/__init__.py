"""The model on disk: its members, its facts, and the one way to read and write it."""
