"""The terminal a command was typed into: its streams, and whether it has colour."""
