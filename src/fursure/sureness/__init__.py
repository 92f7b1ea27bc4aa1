"""When to believe a prediction: calibrated confidence, a stated risk, familiarity."""
