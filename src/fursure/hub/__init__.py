"""A repository of the Hugging Face Hub ↔ files of this machine; huggingface_hub transfers them."""
