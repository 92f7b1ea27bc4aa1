"""Recipes on one split of one's own photos → a ladder, and which recipe is worth its time."""
