"""What the tutorials end in: Flask's own server, and one Keras prediction a request.

Run by `benchmarks.load`, in an environment that has flask, tensorflow and pillow. The weights are
random: they cost as much as trained ones.
"""

import io
import socket

import numpy as np
from flask import Flask, Response, jsonify, request
from keras.applications import MobileNetV2  # type: ignore[import-untyped]
from PIL import Image

app = Flask(__name__)
model = MobileNetV2(weights=None)


@app.post("/predict")
def predict() -> Response:
    """Answer one photo."""
    photo = Image.open(io.BytesIO(request.get_data())).convert("RGB").resize((224, 224))
    pixels = np.asarray(photo, np.float32)[None] / 127.5 - 1
    return jsonify(probability=float(model.predict(pixels, verbose=0)[0, 0]))


if __name__ == "__main__":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    print(port, flush=True)
    app.run("127.0.0.1", port)
