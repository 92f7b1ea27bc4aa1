"""The story of each command on one screen, made of the parts below."""
