"""Photos → fingerprints → groups of near-duplicates → train, validation and test."""
