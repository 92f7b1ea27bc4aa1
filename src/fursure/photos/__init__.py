"""Bytes → upright RGB photo → network input."""
