"""Processes that train one network together, and what they say to each other."""
