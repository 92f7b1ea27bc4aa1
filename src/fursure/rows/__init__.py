"""Many photos, a row each: features as halves, facts as columns."""
