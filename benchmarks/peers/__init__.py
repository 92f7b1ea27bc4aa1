"""The main job, photos → model → answer, by other libraries: each in an environment of its own."""
