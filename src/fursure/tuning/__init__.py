"""Many recipes tried on one validation → the best of them, measured once on photos none saw."""
