"""A model and labelled photos → figures, and the pages that show them."""
