"""Files of tools that label photos → what they say of each photo, before any path is followed."""
