"""Named recipes, the flags over them, and their way to and from TOML."""
