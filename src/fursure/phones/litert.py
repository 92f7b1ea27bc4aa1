"""An ONNX network → a LiteRT model, and what runs it here.

Dimension key: N photos, H W height and width (pixels), C colour (RGB).
"""

from fursure.engine.runtime import Outputs, Pixels
from fursure.phones.gelu import with_gelus
from fursure.phones.layout import Lowering
from fursure.phones.operators import LOWERED
from fursure.phones.straight import Straight, unsupported


def litert_model(network: Straight) -> bytes:
    """Return the LiteRT model of a network whose input is ``pixels``.

    Raises:
        ExportFailed: an operator in it has no translation.
    """
    network = with_gelus(network)
    made = Lowering(network)
    pixels = made.flat.tensor("pixels", network.shapes["pixels"], network.types["pixels"])
    made.keep("pixels", pixels, last=False)
    for step in network.steps:
        if step.kind not in LOWERED:
            raise unsupported(f"the operator {step.kind}")
        LOWERED[step.kind](made, step)
    outputs = {name: made.first(name) for name in network.outputs}
    return made.flat.finished({"pixels": pixels}, outputs, network.notes)


class LiteRt:
    """A LiteRT model as telephones open it, on one core."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._run = Interpreter(model_content=model, num_threads=1).get_signature_runner()

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output for as many photos as the model takes."""
        return dict(self._run(pixels=pixels_NHWC))
