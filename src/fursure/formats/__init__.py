"""Each format's bytes → its facts and its pixels: JPEG, PNG, TIFF, and what Pillow reads."""
