"""A repository of the Hugging Face Hub → a folder with weights that hold no code.

Fetched are `config.json` and `model.safetensors`, or an ONNX export with what prepares its photos.
A pickle is never fetched, not even to be refused. `transfer` checks each file that is.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fursure.errors import BadBackbone, FursureError, MissingExtra, UnknownBackbone
from fursure.files import offline, replacing
from fursure.networks.configuration import REFUSED, read_config
from fursure.networks.hub_download import folder_of, sound, stored

try:
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.hf_api import RepoSibling
except ImportError as error:
    raise MissingExtra("a network of the Hugging Face Hub", "torch") from error

constants.HF_HUB_DISABLE_TELEMETRY = True  # fursure tells nobody what runs, where, and with what

CONFIG, WEIGHTS, PROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
EXPORTS = ("model.onnx", "onnx/model.onnx")
_RESAMPLING = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"(?!.*(\.\.|--))\w[\w.-]*/\w[\w.-]*", re.ASCII)
REVISION = re.compile(r"(?!.*\.\.)[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)  # climbs nowhere


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at a branch, tag or commit, and the words it was asked for with."""

    name: str  # ORG/REPO
    revision: str
    source: str


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
    return _fetched(_parsed(name, source))


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
    config = _object(folder / CONFIG)
    known = [name for name in (WEIGHTS, PROCESSOR, *EXPORTS) if (folder / name).is_file()]
    *beside, weights = _files(known, config) or [WEIGHTS]
    if weights == WEIGHTS:
        return None
    if beside:
        return folder / weights, config | {"pretrained_cfg": _as_timm(folder / PROCESSOR)}
    return folder / weights, read_config(folder)


def _parsed(repo: str, source: str) -> Repository:
    name, _, revision = repo.partition("@")
    revision = revision or constants.DEFAULT_REVISION
    if not NAME.fullmatch(name) or not REVISION.fullmatch(revision):
        raise UnknownBackbone(
            source,
            "A repository is named ORG/REPO or ORG/REPO@REVISION, as in "
            "hub:timm/mobilenetv2_100.ra_in1k.",
        )
    return Repository(name, revision, source)


def _fetched(repository: Repository) -> Path:
    failure = None
    try:
        if not offline():
            return _downloaded(repository, *_listed(repository))
    except FursureError:
        raise
    except Exception as error:  # every layer below has its own: hub, HTTP, JSON, disk
        failure = error
    if folder := _cached(repository):
        return folder
    raise UnknownBackbone(repository.source, _advice(repository, failure)) from failure


def _listed(repository: Repository) -> tuple[str, dict[str, RepoSibling]]:
    """Return the commit that the revision stands for, and what is announced of its files."""
    try:
        info = HfApi().model_info(
            repository.name,
            revision=repository.revision,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
            files_metadata=True,
        )
        if not COMMIT.fullmatch(info.sha or ""):
            raise ValueError("no commit")
        return str(info.sha), {file.rfilename: file for file in info.siblings or []}
    except HfHubHTTPError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"what answers at {constants.ENDPOINT} is no hub") from error


def _downloaded(repository: Repository, commit: str, listed: Mapping[str, RepoSibling]) -> Path:
    """Return the folder of the snapshot, with the files it takes and no others."""

    def brought(name: str) -> Path:
        large = listed[name].lfs
        sha256, size = (large.sha256, large.size) if large else (None, None)
        return stored(repository.name, commit, name, sha256=sha256, size=size)

    if listed.keys().isdisjoint({WEIGHTS, *EXPORTS}):
        raise BadBackbone(f"{repository.source} has {_instead(listed)}")
    if CONFIG not in listed:
        raise BadBackbone(
            f"{repository.source} has no config.json, which says how to prepare a photo; download "
            "its weights yourself and pass their folder with one in the timm layout beside them."
        )
    config = brought(CONFIG)
    files = _files(listed, _object(config))
    if files is None:
        raise BadBackbone(
            f"the config.json of {repository.source} has no pretrained_cfg, which says how to "
            "prepare a photo; it needs one in the timm layout, or model.onnx with "
            "preprocessor_config.json beside it."
        )
    for name in files:
        brought(name)
    _note(repository, commit)
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
    exports = [name for name in EXPORTS if name in names][:1]
    if "pretrained_cfg" in config:
        return [WEIGHTS] if WEIGHTS in names else exports or None
    return [PROCESSOR, *exports] if exports and PROCESSOR in names else None


def _note(repository: Repository, commit: str) -> None:
    """Remember what a branch or tag stands for, which is how it is found offline."""
    ref = folder_of(repository.name) / "refs" / repository.revision
    if repository.revision != commit and not (ref.is_file() and ref.read_text() == commit):
        ref.parent.mkdir(parents=True, exist_ok=True)
        with replacing(ref) as file:
            file.write(commit.encode())


def _cached(repository: Repository) -> Path | None:
    """Return the snapshot that the hub's cache has of the revision, where it is complete.

    Raises:
        BadBackbone: a file in it is damaged.
    """
    found = {}
    for name in (CONFIG, WEIGHTS, PROCESSOR, *EXPORTS):
        path = try_to_load_from_cache(
            repository.name, name, constants.HF_HUB_CACHE, repository.revision
        )
        if isinstance(path, str):
            found[name] = Path(path)
    files = _files(found, _object(found[CONFIG])) if CONFIG in found else None
    for name in files or []:
        if not sound(found[name]):
            raise BadBackbone(
                f"{found[name]} is damaged: it no longer has the sha256 it is named after. Run "
                "the same command with a network, which fetches it anew."
            )
    return found[CONFIG].parent if files else None


def _object(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadBackbone(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise BadBackbone(f"{path} holds no object; it needs one with the network's configuration.")
    return config


def _as_timm(path: Path) -> dict[str, Any]:
    """Return the pretrained_cfg that says what an image processor of transformers says.

    Raises:
        BadBackbone: it prepares a photo in a way we do not have.
    """
    processor = _object(path)
    crops = processor.get("do_center_crop", False)
    try:
        side = _side(processor["crop_size" if crops else "size"])
        share = side / _side(processor["size"]) if crops else processor.get("crop_pct") or 1.0
        if processor.get("do_flip_channel_order") or processor.get("rescale_offset"):
            raise ValueError("it flips the colours or shifts their range")
        if abs(255 * processor.get("rescale_factor", 1 / 255) - 1) > 1e-3:
            raise ValueError(f"rescale_factor is {processor['rescale_factor']}; needed is 1/255")
        scaled = processor.get("do_normalize", True)
        return {
            "input_size": [3, side, side],
            "crop_mode": "center" if crops or (share < 1 and side < 384) else "squash",
            "crop_pct": share,
            "interpolation": _RESAMPLING[processor.get("resample", 2)],
            "mean": processor["image_mean"] if scaled else [0.0] * 3,
            "std": processor["image_std"] if scaled else [1.0] * 3,
        }
    except (LookupError, TypeError, ValueError) as error:
        raise BadBackbone(f"{path} does not say how to prepare a photo: {error}") from None


def _side(size: Any) -> int:
    """Return the pixels of a square, or of a shorter side, in each way transformers writes it."""
    if isinstance(size, int):
        return size
    if not isinstance(size, dict):
        raise TypeError(f"its size is {size!r}")
    side = size.get("shortest_edge") or size["height"]
    if side != size.get("width", side):
        raise ValueError(f"{size} is not square")
    return int(side)


def _advice(repository: Repository, failure: Exception | None) -> str:
    """Return what to do about a repository that could not be had."""
    name, page = repository.name, f"{constants.ENDPOINT}/{repository.name}"
    remedy = "set HF_TOKEN to a token that may read it, or run `hf auth login`"
    match failure:
        case GatedRepoError():
            return f"{name} is gated: accept its terms at {page}, then {remedy}."
        case RevisionNotFoundError():
            return f"{name} has no revision {repository.revision!r}; see {page}/tree/main."
        case RepositoryNotFoundError():
            return (
                f"The hub has no model {name}, or hides it: check the name; if private, {remedy}."
            )
        case HfHubHTTPError() if failure.response.status_code in {401, 403}:
            return f"The hub refuses to hand out {name}: {remedy}."
        case OSError() if failure.errno:  # the disk's
            return (
                f"Its files cannot be kept in {constants.HF_HUB_CACHE} ({failure}); free some "
                "space there, or point HF_HOME at another folder."
            )
        case None:
            reason = "FURSURE_OFFLINE or HF_HUB_OFFLINE forbids the network"
        case _:
            reason = (str(failure).strip() or type(failure).__name__).splitlines()[0][:200]
    into = f"./{name.rpartition('/')[2]}"
    return (
        f"Its weights could not be had ({reason}). Download its config.json and model.safetensors "
        "elsewhere and pass the folder they are in: both are at "
        f"{page}/tree/{repository.revision}; put them into {into}, then --backbone {into}."
    )
