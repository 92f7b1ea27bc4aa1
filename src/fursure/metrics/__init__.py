"""Labels and probabilities → figures with intervals, and paired tests between two models."""
