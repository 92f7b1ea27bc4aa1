"""Measurements as ratios against a peer or a physical limit, taken in one run."""
