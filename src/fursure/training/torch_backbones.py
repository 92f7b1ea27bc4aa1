"""Weights that need torch → an encoder graph, verified against torch. Imported only to convert.

Dimension key: N photos, D features, H W height and width (pixels), h w map cells, C colour.
"""

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fursure.errors import BadBackbone, MissingExtra, UnknownBackbone
from fursure.files import offline
from fursure.training.backbones import preprocess_of, read_config

try:
    import huggingface_hub.constants
    import timm
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("converting a timm backbone", "torch") from error

OPSET = 18
TOLERANCE = 1e-3  # largest |difference| to torch, as a share of the largest feature
BATCHES = (1, 2, 5)  # a frozen batch dimension or a wrong shape shows on one of them


class Encoder(nn.Module):
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
        out = self.net.forward_features(x_NHWC.permute(0, 3, 1, 2))
        if out.ndim == 4 and out.shape[1] == self.net.num_features:
            return out.mean(dim=(2, 3)), out
        return (self.net.forward_head(out, pre_logits=True),)


def convert(name: str, folder: Path | None, image_size: int | None) -> tuple[dict[str, Any], bytes]:
    """Return the configuration and the encoder graph of a timm network.

    ``folder`` holds `config.json` and `model.safetensors`; without one, ``name`` is `timm:NAME`
    or `hub:ORG/REPO` and timm finds the weights in its cache or downloads them.

    Raises:
        UnknownBackbone: timm knows no such network, or its weights cannot be had offline.
        BadBackbone: the weights do not fit the network, or the export does not agree with torch.
    """
    config, net = _from_folder(folder) if folder else _from_timm(name)
    preprocess = preprocess_of(config, image_size)
    encoder = Encoder(net, preprocess.mean, preprocess.std).eval()
    graph = _export(encoder, preprocess.size, name)
    _verify(encoder, graph, preprocess.size, name)
    return config, graph


def _from_folder(folder: Path) -> tuple[dict[str, Any], Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_config(folder)
    architecture = str(config.get("architecture", ""))
    if not timm.is_model(architecture):
        near = ", ".join(timm.list_models(f"*{architecture.split('_', maxsplit=1)[0]}*")[:3])
        raise BadBackbone(
            f"{folder}/config.json names the architecture {architecture!r}, which timm "
            f"{timm.__version__} does not have{f'; it has {near}' if near else ''}."
        )
    try:
        net = timm.create_model(
            architecture,
            pretrained=False,
            num_classes=int(config.get("num_classes", 1000)),
            **config.get("model_args", {}),
        )
    except Exception as error:  # each network checks its arguments in its own way
        reason = str(error).strip().splitlines()[0][:200]
        raise BadBackbone(
            f"timm cannot make the network in {folder}/config.json ({reason}); correct its "
            "num_classes or model_args."
        ) from error
    try:
        weights = load_file(folder / "model.safetensors")
    except (SafetensorError, OSError) as error:
        raise BadBackbone(f"{folder}/model.safetensors cannot be read: {error}") from error
    _check_shapes(net, weights, folder, architecture)
    net.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    return config, net


def _check_shapes(net: Any, weights: dict[str, Tensor], folder: Path, architecture: str) -> None:
    wanted = {
        key: tuple(value.shape)
        for key, value in net.state_dict().items()
        if not key.endswith("num_batches_tracked")  # a counter that only training reads
    }
    found = {
        key: tuple(value.shape)
        for key, value in weights.items()
        if not key.endswith("num_batches_tracked")
    }
    differing = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
    if differing:
        lines = [
            f"{key}: found {found.get(key, 'nothing')}, needs {wanted.get(key, 'nothing')}"
            for key in differing[:3]
        ]
        raise BadBackbone(
            f"the weights in {folder} are not those of {architecture}: {len(differing)} tensors "
            f"differ ({'; '.join(lines)}). Correct the architecture in config.json."
        )


def _from_timm(name: str) -> tuple[dict[str, Any], Any]:
    kind, _, model = name.partition(":")
    if offline():  # its own variable was read when timm imported it, which is too early for ours
        huggingface_hub.constants.HF_HUB_OFFLINE = True
    known = model if kind == "timm" else f"hf_hub:{model}"
    net: Any
    if kind == "timm" and not timm.is_model(model):
        near = ", ".join(timm.list_models(f"*{model.split('_')[0]}*")[:3])
        raise UnknownBackbone(name, f"timm has {near}." if near else "")
    cfg = timm.get_pretrained_cfg(model) if kind == "timm" else None
    if offline() and cfg is not None and cfg.url and not cfg.hf_hub_id:
        raise UnknownBackbone(  # timm would fetch them from the web, whatever the hub is told
            name, f"timm has no weights of {model} on the hub, and the network is forbidden."
        )
    try:
        net = timm.create_model(known, pretrained=True)
    except Exception as error:  # every layer below has its own: HTTP, hub, timm, safetensors
        reason = str(error).strip().splitlines()[0][:200]
        raise UnknownBackbone(
            name,
            f"Its weights could not be had ({reason}). Download its config.json and "
            "model.safetensors elsewhere and pass the folder they are in.",
        ) from error
    return {"architecture": model, "pretrained_cfg": dict(net.pretrained_cfg)}, net


def _export(encoder: Encoder, size: int, name: str) -> bytes:
    pixels_NHWC = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    try:
        with torch.inference_mode():
            names = ["features", "map"][: len(encoder(pixels_NHWC))]
    except (AssertionError, RuntimeError, ValueError) as error:  # a ViT knows one size only
        reason = str(error).strip().splitlines()[0][:200]
        raise BadBackbone(
            f"{name} does not run on photos of {size} px ({reason}); choose another --image-size, "
            "or leave it out."
        ) from error
    quiet = io.StringIO()  # the exporter reports its steps on stdout, where results go
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet):
        warnings.simplefilter("ignore")
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
        assert program is not None  # noqa: S101 - it is None only where it exports nothing
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "encoder.onnx"
            program.save(path)
            return path.read_bytes()


def _verify(encoder: Encoder, graph: bytes, size: int, name: str) -> None:
    """Compare the graph with torch on several batch sizes.

    The exporter has produced wrong networks without a word (pytorch/pytorch#166797) and frozen
    batch dimensions (pytorch/pytorch#148886).
    """
    from fursure.engine.session import OnnxRuntime

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
        if not gap <= TOLERANCE:
            raise BadBackbone(
                f"{name} did not survive its export: features differ from torch's by {gap:.1%} "
                f"on a batch of {count}. Another version of torch may do better."
            )
