"""A repository of the Hugging Face Hub → a folder with weights that hold no code.

Fetched are `config.json` and `model.safetensors`, or an ONNX export with what prepares its photos.
A pickle is never fetched, not even to be refused. `transfer` checks each file that is.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fursure.errors import BadBackbone, BadDownload, HubFailed, UnknownBackbone
from fursure.graphs.external import weights_beside
from fursure.hub.download import sound, stored
from fursure.hub.models import SUFFIX
from fursure.hub.repository import (
    Repository,
    attempted,
    hindrance,
    note,
    reason,
    repository,
    snapshot,
)
from fursure.networks.configuration import REFUSED, json_object, read_config
from fursure.networks.processor import as_timm, licence_on

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

CONFIG, WEIGHTS, PROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
CARD = "README.md"  # says the licence, where the configuration does not
EXPORTS = (  # the part of a network of pictures and words that sees pictures comes first
    "onnx/vision_model.onnx",
    "vision_model.onnx",
    "model.onnx",
    "onnx/model.onnx",
)
TAKEN = (CONFIG, WEIGHTS, PROCESSOR, CARD, *EXPORTS, *map(weights_beside, EXPORTS))


def located(source: str) -> Path:
    """Return a folder with configuration and weights of `timm:NAME` or `hub:ORG/REPO[@REVISION]`.

    What the hub's cache has is not transferred again; without a network it is taken as it is.

    Raises:
        UnknownBackbone: there is no such repository, or its files cannot be had from here.
        BadBackbone: it has no weights that are safe to read, or a file is not what was announced.
    """
    kind, _, name = source.partition(":")
    if kind == "timm":
        name = _of_timm(source)
    try:
        return _fetched(repository(name, source, "timm/mobilenetv2_100.ra_in1k"))
    except BadDownload as error:
        raise BadBackbone(str(error)) from error
    except HubFailed as error:
        raise UnknownBackbone(source, str(error)) from error


def _of_timm(source: str) -> str:
    """Return the hub's repository (`ORG/REPO`) with the weights of a network `timm:NAME`.

    Raises:
        UnknownBackbone: timm has no such network, or no weights of it that are safe to read.
    """
    import timm

    model = source.removeprefix("timm:")
    if not timm.is_model(model):
        near = ", ".join(timm.list_models(f"*{model.split('_')[0]}*")[:3])
        raise UnknownBackbone(source, f"timm has {near}." if near else "")
    try:
        cfg = timm.get_pretrained_cfg(model)
    except RuntimeError:  # the network exists and the tag behind its dot does not
        tags = ", ".join(timm.list_pretrained(f"{model.partition('.')[0]}.*")[:5])
        raise UnknownBackbone(source, f"timm has {tags}.") from None
    if cfg is not None and cfg.hf_hub_id:
        return str(cfg.hf_hub_id)
    if cfg is None or not cfg.url:
        raise UnknownBackbone(source, f"timm has no weights of {model}: nobody trained it.")
    url = cfg.url if isinstance(cfg.url, str) else cfg.url[0]
    raise UnknownBackbone(
        source,
        f"timm has no weights of {model} on the hub, only {url}, which may hold a pickle. Where "
        f"you trust it, download it, convert it (--backbone {url.rpartition('/')[2]} says how) and "
        "pass the folder of model.safetensors with a config.json in the timm layout beside it.",
    )


def exported(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return a fetched folder's ONNX file and its configuration, as timm would have written it.

    None where it holds weights for torch.

    Raises:
        BadBackbone: the configuration does not say how to prepare a photo.
    """
    config = json_object(folder / CONFIG)
    known = [name for name in TAKEN if (folder / name).is_file()]
    *beside, weights = _files(known, config) or [WEIGHTS]
    if weights == WEIGHTS:
        return None
    if PROCESSOR not in beside:
        return folder / weights, read_config(folder)
    prepared = as_timm(folder / PROCESSOR) | licence_on(folder / CARD)
    return folder / weights, config | {"pretrained_cfg": prepared}


def _fetched(repo: Repository) -> Path:
    folder, failure = attempted(repo, _downloaded)
    if folder := folder or _cached(repo):
        return folder
    raise HubFailed(hindrance(repo, failure) or _elsewhere(repo, failure)) from failure


def _downloaded(repo: Repository, commit: str, there: Mapping[str, "RepoSibling"]) -> Path:
    """Return the folder of the snapshot, with the files it takes and no others."""
    if models := [name for name in there if name.endswith(SUFFIX)]:
        raise BadBackbone(
            f"{repo.source} is a whole model, whose encoder is a backbone too, by its file: "
            f"`hf download {repo.name} {models[0]} --local-dir .`, then --backbone {models[0]}."
        )
    if there.keys().isdisjoint({WEIGHTS, *EXPORTS}):
        raise BadBackbone(f"{repo.source} has {_instead(there)}")
    if CONFIG not in there:
        raise BadBackbone(
            f"{repo.source} has no config.json, which says how to prepare a photo; download "
            "its weights yourself and pass their folder with one in the timm layout beside them."
        )
    config = stored(repo, commit, there[CONFIG])
    files = _files(there, json_object(config))
    if files is None:
        raise BadBackbone(
            f"the config.json of {repo.source} has no pretrained_cfg, which says how to "
            "prepare a photo; it needs one in the timm layout, or model.onnx with "
            "preprocessor_config.json beside it."
        )
    for name in files:
        stored(repo, commit, there[name])
    note(repo, commit)
    return config.parent


def _instead(names: Collection[str]) -> str:
    pickles = sorted(name for name in names if Path(name).suffix.lower() in REFUSED)
    if not pickles:
        some = ", ".join(sorted(names)[:5]) or "no files"
        return f"neither model.safetensors nor model.onnx, but {some}; name another repository."
    return (
        f"its weights only as {pickles[0]}, which may hold a pickle, so it was not downloaded; "
        "fursure needs model.safetensors. Where you trust it, download it yourself, convert it to "
        f"safetensors (--backbone {Path(pickles[0]).name} says how) and pass the folder."
    )


def _files(names: Collection[str], config: Mapping[str, Any]) -> list[str] | None:
    """Return what a network takes beside its config.json, the weights last; None: not there."""
    export = next((name for name in EXPORTS if name in names), None)
    if "pretrained_cfg" in config and WEIGHTS in names:
        return [WEIGHTS]
    if export is None or not ("pretrained_cfg" in config or PROCESSOR in names):
        return None
    beside = [weights_beside(export)]
    if "pretrained_cfg" not in config:
        beside += [CARD, PROCESSOR]
    return [*(name for name in beside if name in names), export]


def _cached(repo: Repository) -> Path | None:
    """Return the snapshot that the hub's cache has of the revision, where it is complete.

    Raises:
        BadBackbone: a file in it is damaged.
    """
    folder = snapshot(repo)
    found = {name: folder / name for name in TAKEN if (folder / name).is_file()}
    files = _files(found, json_object(found[CONFIG])) if CONFIG in found else None
    for name in files or []:
        if not sound(found[name]):
            raise BadBackbone(
                f"{found[name]} is damaged: it no longer has the sha256 it is named after. Run "
                "the same command with a network, which fetches it anew."
            )
    return folder if files else None


def _elsewhere(repo: Repository, failure: Exception | None) -> str:
    """Return how weights come here that the network did not bring."""
    into = f"./{repo.name.rpartition('/')[2]}"
    return (
        f"Its weights could not be had ({reason(failure)}). Download its config.json and "
        "model.safetensors elsewhere and pass the folder they are in: both are at "
        f"{repo.page}/tree/{repo.revision}; put them into {into}, then --backbone {into}."
    )
