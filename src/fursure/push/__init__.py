"""A model → its repository on the Hugging Face Hub."""
