"""A network of torch → an encoder graph, verified against torch. Imported only to convert.

Dimension key: N photos, D features, H W height and width (pixels), h w map cells, C colour.
"""

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fursure.errors import BadBackbone, MissingExtra
from fursure.graphs.graph import OPSET
from fursure.networks.build import pooled
from fursure.photos.preprocess import Preprocess

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("converting a network of torch", "torch") from error

_TOLERANCE = 1e-3  # largest |difference| to torch, as a share of the largest feature
BATCHES = (1, 2, 5)  # a frozen batch dimension or a wrong shape shows on one of them


class TorchEncoder(nn.Module):
    """uint8 pixels (N, H, W, 3) -> pooled features (N, D) and, for convolutions, their map."""

    mean: Tensor
    scale: Tensor

    def __init__(self, net: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean) * 255)
        self.register_buffer("scale", 1 / (torch.tensor(std) * 255))

    def forward(self, pixels_NHWC: Tensor) -> tuple[Tensor, ...]:
        """Return (features, map), or (features,) where the network keeps no map."""
        x_NHWC = (pixels_NHWC.float() - self.mean) * self.scale
        features_ND, map_NDhw = pooled(self.net, x_NHWC.permute(0, 3, 1, 2))
        return (features_ND,) if map_NDhw is None else (features_ND, map_NDhw)


def export_network(net: nn.Module, preprocess: Preprocess, name: str) -> bytes:
    """Return the encoder graph of a network, its normalisation inside.

    Raises:
        BadBackbone: it does not run on photos of that size, or the export does not agree with
            torch.
    """
    encoder = TorchEncoder(net, preprocess.mean, preprocess.std).eval()
    graph = _export(encoder, preprocess.size, name)
    _verify(encoder, graph, preprocess.size, name)
    return graph


def _export(encoder: TorchEncoder, size: int, name: str) -> bytes:
    pixels_NHWC = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    try:
        with torch.inference_mode():
            names = ["features", "map"][: len(encoder(pixels_NHWC))]
    except Exception as error:  # each network fails in its own way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise BadBackbone(
            f"{name} does not run on photos of {size} px ({reason}); choose another --image-size, "
            "or leave it out."
        ) from error
    quiet = io.StringIO()  # the exporter reports its steps on stdout, where results go
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                encoder,
                (pixels_NHWC,),
                input_names=["pixels"],
                output_names=names,
                dynamic_shapes=({0: torch.export.Dim("N")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise BadBackbone(
                f"torch {torch.__version__} cannot export {name} to ONNX; choose another network, "
                "or another version of torch."
            ) from error
        assert program is not None  # noqa: S101 - it is None only where it exports nothing
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "encoder.onnx"
            program.save(path)
            return path.read_bytes()


def _verify(encoder: TorchEncoder, graph: bytes, size: int, name: str) -> None:
    """Compare the graph with torch on several batch sizes.

    The exporter has produced wrong networks without a word (pytorch/pytorch#166797) and frozen
    batch dimensions (pytorch/pytorch#148886).
    """
    from fursure.engine.runtime import OnnxRuntime

    session = None
    generator = np.random.default_rng(0)
    for count in BATCHES:
        pixels_NHWC = generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        with torch.inference_mode():
            wanted_ND = encoder(torch.from_numpy(pixels_NHWC))[0].numpy()
        try:
            session = session or OnnxRuntime(graph, threads=2)
            found_ND = session(pixels_NHWC)["features"]
        except Exception as error:  # the runtime raises its own types
            reason = str(error).strip().splitlines()[0][:200]
            raise BadBackbone(
                f"{name} did not survive its export: it does not run on a batch of {count} "
                f"({reason}). Another version of torch may do better."
            ) from error
        if found_ND.shape != wanted_ND.shape:
            raise BadBackbone(
                f"{name} did not survive its export: {found_ND.shape} for {wanted_ND.shape}."
            )
        gap = float(np.abs(found_ND - wanted_ND).max() / max(np.abs(wanted_ND).max(), 1e-12))
        if not gap <= _TOLERANCE:
            raise BadBackbone(
                f"{name} did not survive its export: features differ from torch's by {gap:.1%} "
                f"on a batch of {count}. Another version of torch may do better."
            )
