"""A backbone's name → an encoder: one graph, converted once and kept, of one network or several."""
