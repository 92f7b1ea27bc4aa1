"""Photos × encoder → rows, each photo read and computed once."""
