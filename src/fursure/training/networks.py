"""A backbone's name → a network of torch, with its weights. Imported only to convert or train.

Every network is one of timm's, whatever its weights came from: it has `forward_features`,
`num_features` and `group_matcher`, which names its blocks from the input to the output.
"""

from pathlib import Path
from typing import Any

from fursure.errors import BadBackbone, MissingExtra, UnknownBackbone
from fursure.files import offline
from fursure.training.backbones import read_config

try:
    import huggingface_hub.constants
    import timm
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("a network of torch", "torch") from error


def network(name: str, folder: Path | None) -> tuple[dict[str, Any], nn.Module]:
    """Return the configuration (timm's `config.json`) and the network with its weights.

    ``folder`` holds `config.json` and `model.safetensors`; without one, ``name`` is `timm:NAME`
    or `hub:ORG/REPO` and timm finds the weights in its cache or downloads them.

    Raises:
        UnknownBackbone: timm knows no such network, or its weights cannot be had offline.
        BadBackbone: the weights do not fit the network.
    """
    return _from_folder(folder) if folder else _from_timm(name)


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
