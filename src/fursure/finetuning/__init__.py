"""A network of torch and squares of photos → a network that was trained."""
