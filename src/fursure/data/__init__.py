"""Folders, tables and archives of photos → a `Manifest` with groups and splits."""
