"""Predictions and figures → what a person reads: tables and pictures."""
