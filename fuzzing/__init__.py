"""Inputs nobody meant to send → proof that each door of fursure refuses them in words."""
