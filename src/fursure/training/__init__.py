"""Photos → a model: the whole way, from a path to a file and its report."""
