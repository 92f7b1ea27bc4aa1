"""Bytes of an image file → its facts and its pixels; `table` lists every format."""
