"""Bundle and photos in, answers out: inference sessions, batching, prediction. Never torch."""
