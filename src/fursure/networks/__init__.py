"""A name or a file of weights → a network of torch, and that → an encoder graph."""
