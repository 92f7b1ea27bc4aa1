"""Rows → a calibrated head, its figures, and the bundle made of them."""
