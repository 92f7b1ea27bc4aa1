"""Labelled photos → what is wrong with them: files, copies, labels, shortcuts."""
