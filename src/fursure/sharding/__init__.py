"""Labelled photos → a few large files in place of many small ones, here or in a bucket."""
