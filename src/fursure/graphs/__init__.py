"""ONNX graphs as bytes: built, cut, spliced and looked into, without torch."""
