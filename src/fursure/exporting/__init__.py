"""A model → what runs it elsewhere; a module for each target, listed in `targets`."""
