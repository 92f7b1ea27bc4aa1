"""An ONNX network → the formats of telephones: LiteRT's, Core ML's."""
