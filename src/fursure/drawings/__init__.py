"""Pictures drawn by code, for the demo, the tests, and proofs on machines without photos."""
