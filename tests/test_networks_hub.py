"""Backbones of the Hugging Face Hub, against a hub on this machine that can misbehave."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from time import monotonic
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hub_server import TOKEN, Hub, Repo, etag
from samples import SIDE, WIDTH
from test_backbones import CFG, features, network, weights_in, without_torch

from fursure.backbones.kinds import at_hand, load_backbone
from fursure.bundle.named import shipped
from fursure.errors import BadBackbone, UnknownBackbone
from fursure.graphs.graph import encoder_of
from fursure.photos.preprocess import Preprocess

huggingface_hub = pytest.importorskip("huggingface_hub")

CONFIG = json.dumps({"architecture": "test_resnet", "pretrained_cfg": CFG}).encode()
WEIGHTS = np.random.default_rng(0).bytes(300_000)
NET = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
PROCESSOR = {
    "do_resize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


BROKEN_OFF = [200_000, *[0] * 5]  # as often as huggingface_hub tries again


def fetched(repo: str) -> Path:
    from fursure.networks import hub

    return hub.located(f"hub:{repo}")


@pytest.fixture
def hub(hub: Hub) -> Hub:
    """Return a running hub with one good network, which is the hub of this process."""
    hub.repos["org/net"] = Repo(NET)
    return hub


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# What is fetched


def test_config_and_safetensors_are_fetched_and_no_other_file(hub: Hub) -> None:
    hub.repos["org/net"] = Repo(NET | {"pytorch_model.bin": b"\x80\x04.", "README.md": b"hello"})
    assert files_in(fetched("org/net")) == NET
    assert hub.served == len(WEIGHTS)
    assert {r.path.rpartition("/")[2] for r in hub.requests if r.host == "hub"} == {
        "main",
        "config.json",
        "model.safetensors",
    }


def test_the_hubs_own_library_finds_what_was_fetched(hub: Hub, tmp_path: Path) -> None:
    folder = fetched("org/net")
    for name in NET:
        found = huggingface_hub.hf_hub_download("org/net", name, local_files_only=True)
        assert Path(found) == folder / name
    cache = huggingface_hub.scan_cache_dir(tmp_path / "hub")
    assert not cache.warnings
    assert {repo.repo_id: repo.nb_files for repo in cache.repos} == {"org/net": 2}


def test_what_the_hubs_own_library_fetched_is_not_transferred_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    for name in NET:
        huggingface_hub.hf_hub_download("org/net", name)
    before = hub.served
    assert files_in(fetched("org/net")) == NET
    assert hub.served == before


def test_a_second_fetch_only_asks_whether_there_is_news(hub: Hub) -> None:
    folder = fetched("org/net")
    hub.requests.clear()
    assert fetched("org/net") == folder
    assert [r.path for r in hub.requests] == ["/api/models/org/net/revision/main"]


def test_new_weights_on_the_branch_are_fetched_and_old_ones_stay(hub: Hub) -> None:
    old = fetched("org/net")
    hub.repos["org/net"] = Repo(NET | {"model.safetensors": b"better"})
    new = fetched("org/net")
    assert (new / "model.safetensors").read_bytes() == b"better"
    assert files_in(old) == NET
    hub.close()
    assert fetched("org/net") == new


@pytest.mark.parametrize("form", ["@v1", "@commit"])
def test_a_revision_can_be_named(form: str, hub: Hub) -> None:
    repo = hub.repos["org/net"] = Repo(NET, tags=["v1"])
    folder = fetched(f"org/net{form.replace('commit', repo.commit)}")
    assert folder.name == repo.commit
    with pytest.raises(UnknownBackbone, match=r"org/net has no revision 'v2'; see http"):
        fetched("org/net@v2")


@pytest.mark.parametrize(
    "name",
    [
        "net",
        "a/b/c",
        "../net",
        "org/..",
        "org/a net",
        "https://huggingface.co/org/net",
        "org/net@../../x",
        "org/net@/etc",
        "org/net@a b",
        "org/",
        "@v1",
    ],
)
def test_what_is_no_name_of_a_repository_is_not_asked_for(name: str, hub: Hub) -> None:
    with pytest.raises(UnknownBackbone, match="A repository is named ORG/REPO or ORG/REPO@REV"):
        load_backbone(f"hub:{name}")
    assert hub.requests == []


# What is refused


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights/net.pth"])
def test_a_pickle_is_named_and_not_downloaded(name: str, hub: Hub) -> None:
    hub.repos["org/net"] = Repo({"config.json": CONFIG, name: b"\x80\x04."})
    words = rf"only as {name}, which may hold a pickle, so it was not downloaded; .*safetensors"
    with pytest.raises(BadBackbone, match=words):
        load_backbone("hub:org/net")
    assert hub.served == 0
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "neither model.safetensors nor model.onnx, but no files"),
        ({"model.gguf": b"", "a.txt": b""}, r"but a\.txt, model\.gguf; name another repository"),
        ({"model.fursure": b""}, "whole model, .*`hf download org/net model.fursure --local-dir"),
        ({"model.safetensors": b""}, "has no config.json, which says how to prepare a photo"),
        (NET | {"config.json": b"{"}, r"config\.json cannot be read"),
        (NET | {"config.json": b"[" * 100_000}, r"config\.json cannot be read"),
        (NET | {"config.json": b"[]"}, r"config\.json holds no object"),
        (NET | {"config.json": b"{}"}, "no pretrained_cfg, which says how.*timm layout, or model"),
        ({"config.json": b"{}", "model.onnx": b""}, "no pretrained_cfg, which says how"),
    ],
)
def test_a_repository_that_is_no_backbone_says_what_it_lacks(
    files: dict[str, bytes], words: str, hub: Hub
) -> None:
    hub.repos["org/net"] = Repo(files)
    with pytest.raises(BadBackbone, match=words):
        load_backbone("hub:org/net")
    assert hub.served == 0


@pytest.mark.parametrize("token", ["", TOKEN])
def test_an_unknown_repository_says_so(
    token: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    words = r"The hub has no model org/nat, or hides it: check the name; if private, set HF_TOKEN"
    with pytest.raises(UnknownBackbone, match=words):
        load_backbone("hub:org/nat")


def test_a_gated_repository_opens_to_a_token_that_only_the_hub_sees(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["org/net"] = Repo(NET, gated=True)
    words = r"org/net is gated: accept its terms at http.*/org/net, then set HF_TOKEN to a token"
    with pytest.raises(UnknownBackbone, match=words):
        fetched("org/net")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.requests.clear()
    assert files_in(fetched("org/net")) == NET
    assert {(r.host, r.authorised) for r in hub.requests} == {("hub", True), ("cdn", False)}


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_asks_for_a_token(status: int, hub: Hub) -> None:
    hub.broken = status
    words = "refuses to hand out org/net: set HF_TOKEN to a token that may read it, or run `hf"
    with pytest.raises(UnknownBackbone, match=words):
        fetched("org/net")


# Without a network

ELSEWHERE = (
    r"Download its config\.json and model\.safetensors elsewhere and pass the folder they are in: "
    r"both are at http://127.*/org/net/tree/main; put them into \./net, then --backbone \./net\."
)


def test_without_a_network_the_sentence_says_what_goes_where(hub: Hub) -> None:
    hub.close()
    with pytest.raises(UnknownBackbone, match=r"had \(.*refused\)\. " + ELSEWHERE):
        fetched("org/net")


@pytest.mark.parametrize("name", ["FURSURE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_the_cache_is_enough_and_nothing_is_asked(
    name: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    words = r"had \(FURSURE_OFFLINE or HF_HUB_OFFLINE forbids the network\)\. " + ELSEWHERE
    with pytest.raises(UnknownBackbone, match=words):
        fetched("org/net")
    monkeypatch.setenv(name, "0")
    folder = fetched("org/net")
    hub.requests.clear()
    monkeypatch.setenv(name, "1")
    assert fetched("org/net") == fetched(f"org/net@{folder.name}") == folder
    assert hub.requests == []


def test_a_hub_that_fell_silent_leaves_what_is_cached(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    folder = fetched("org/net")
    hub.silent = True
    start = monotonic()
    assert fetched("org/net") == folder
    assert monotonic() - start < 2
    with pytest.raises(UnknownBackbone, match="timed out"):
        fetched("org/other")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (500, "Internal Server Error"),
        (429, "429"),
        (b"<html>Welcome to the airport</html>", "what answers at http://127.* is no hub"),
        (b'{"id": "org/net"}', "is no hub"),
        (b'{"id": "org/net", "sha": "../..", "siblings": []}', "is no hub"),
        (b"[]", "is no hub"),
    ],
)
def test_a_hub_that_answers_nonsense_is_asked_once(
    broken: int | bytes, words: str, hub: Hub
) -> None:
    hub.broken = broken
    with pytest.raises(UnknownBackbone, match=rf"could not be had \(.*{words}.*elsewhere"):
        fetched("org/net")
    assert len(hub.requests) == 1


def test_a_cache_that_cannot_be_written_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file in the way")
    with pytest.raises(UnknownBackbone, match=r"cannot be kept in .*hub \(.*\); free some space"):
        fetched("org/net")


def test_a_full_disk_is_named_and_what_arrived_stays(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cuts = [*BROKEN_OFF]
    with pytest.raises(UnknownBackbone):
        fetched("org/net")
    with monkeypatch.context() as patch:
        full = OSError(ENOSPC, "No space left on device")
        patch.setattr("fursure.hub.download.http_get", Mock(side_effect=full))
        with pytest.raises(UnknownBackbone, match=r"hub \(.*No space left.*HF_HOME at another"):
            fetched("org/net")
    hub.requests.clear()
    assert files_in(fetched("org/net")) == NET
    assert [r.range for r in hub.requests if r.host == "cdn"] == ["bytes=200000-"]


# Transfers that go wrong


def test_a_transfer_goes_on_where_it_broke_off(hub: Hub) -> None:
    hub.cuts = [150_000]
    assert files_in(fetched("org/net")) == NET
    asked = [r.range for r in hub.requests if r.host == "cdn"]
    assert asked == [None, "bytes=150000-"]
    assert hub.served == len(WEIGHTS)


def test_a_run_that_gave_up_leaves_the_next_one_the_rest(hub: Hub) -> None:
    hub.cuts = [*BROKEN_OFF]
    words = "stopped at 200000 of 300000 bytes .*; run the same command again and it goes on"
    with pytest.raises(UnknownBackbone, match=words):
        fetched("org/net")
    assert hub.served == 200_000
    assert files_in(fetched("org/net")) == NET
    assert hub.served == len(WEIGHTS)


def test_a_host_that_ignores_ranges_sends_all_of_it_again(hub: Hub) -> None:
    hub.ranges, hub.cuts = False, [150_000]
    assert files_in(fetched("org/net")) == NET
    assert hub.served == 150_000 + len(WEIGHTS)


def test_two_at_once_transfer_once(hub: Hub) -> None:
    with ThreadPoolExecutor() as pool:
        folders = set(pool.map(fetched, ["org/net"] * 2))
    assert len(folders) == 1
    assert hub.served == len(WEIGHTS)


@pytest.mark.parametrize("length", [300_000, 299_999, 300_001, 20])
def test_bytes_that_are_not_those_announced_are_refused_and_removed(
    length: int, hub: Hub, tmp_path: Path
) -> None:
    hub.swapped["model.safetensors"] = np.random.default_rng(1).bytes(length)
    with pytest.raises((BadBackbone, UnknownBackbone)) as caught:
        fetched("org/net")
    if length == len(WEIGHTS):
        words = f"do not have the sha256 that the hub announces, {etag('', WEIGHTS)}; they were rem"
        assert words in str(caught.value)
    else:
        assert f"should be of size {len(WEIGHTS)}" in str(caught.value)
    assert set(files_in(tmp_path / "hub" / "models--org--net" / "blobs").values()) == {CONFIG}
    hub.swapped.clear()
    assert files_in(fetched("org/net")) == NET


def damaged(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\0\0\0")


def test_a_file_damaged_in_the_cache_is_fetched_anew(hub: Hub) -> None:
    damaged(fetched("org/net"))
    assert files_in(fetched("org/net")) == NET
    assert hub.served == 2 * len(WEIGHTS)


def test_a_file_damaged_in_the_cache_is_not_read_offline(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(fetched("org/net"))
    monkeypatch.setenv("FURSURE_OFFLINE", "1")
    words = r"model\.safetensors is damaged: .*sha256.* Run the same command with a network"
    with pytest.raises(BadBackbone, match=words):
        fetched("org/net")


def test_a_mirror_is_set_as_for_every_tool_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    code = "from fursure.networks.hub import located; print(located('hub:org/net'))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={
            "HF_ENDPOINT": hub.url(),
            "HF_HOME": str(tmp_path / "of-the-user"),
            "NO_PROXY": "127.0.0.1",
            "PATH": "",
        },
    )
    assert run.stderr == ""
    folder = Path(run.stdout.rstrip())
    assert folder.is_relative_to(tmp_path / "of-the-user" / "hub")
    assert files_in(folder) == NET


# ONNX exports

ONNX = network().SerializeToString()


@pytest.mark.parametrize("path", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize("layout", ["timm", "transformers"])
def test_an_onnx_export_is_a_backbone_without_torch(
    path: str, layout: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"config.json": CONFIG, path: ONNX, "pytorch_model.bin": b"\x80\x04."}
    if layout == "transformers":
        other = {"config.json": b'{"model_type": "vit"}', "model.safetensors": WEIGHTS}
        files |= other | {"preprocessor_config.json": json.dumps(PROCESSOR).encode()}
    hub.repos["org/net"] = Repo(files)
    without_torch(monkeypatch)
    found = load_backbone("hub:org/net")
    assert found.name == "hub:org/net"
    assert (found.preprocess.size, found.preprocess.mode) == (SIDE, "squash")
    assert features(found, 3).shape == (3, WIDTH)
    assert hub.served == len(ONNX)
    hub.close()
    assert load_backbone("hub:org/net") == found  # kept, like what torch converts
    assert "hub:org/net" in {backbone.name for backbone in at_hand()}


def test_another_tensor_of_an_export_is_another_backbone(hub: Hub) -> None:
    hub.repos["org/net"] = Repo({"config.json": CONFIG, "model.onnx": ONNX})
    plain = load_backbone("hub:org/net")
    scores = load_backbone("hub:org/net", features="scores")
    assert (features(plain, 2).shape, features(scores, 2).shape) == ((2, WIDTH), (2, 10))


PREPARED = Preprocess(
    size=SIDE,
    mode="squash",
    crop=1.0,
    interpolation="bilinear",
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, PREPARED),
        ({"size": SIDE, "resample": 1}, replace(PREPARED, interpolation="lanczos")),
        (
            {"size": {"shortest_edge": 20}, "crop_size": {"height": SIDE, "width": SIDE}}
            | {"do_center_crop": True, "resample": 3},
            replace(PREPARED, mode="crop", crop=SIDE / 20, interpolation="bicubic"),
        ),
        (
            {"size": 20, "crop_size": SIDE, "do_center_crop": True},
            replace(PREPARED, mode="crop", crop=SIDE / 20),
        ),
        (
            {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
            replace(PREPARED, mode="crop", crop=0.875),
        ),
        ({"do_normalize": False}, replace(PREPARED, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))),
    ],
)
def test_an_image_processor_of_transformers_is_understood(
    change: dict[str, Any], wanted: Preprocess, hub: Hub
) -> None:
    processor = json.dumps(PROCESSOR | change).encode()
    files = {"config.json": b"{}", "model.onnx": ONNX, "preprocessor_config.json": processor}
    hub.repos["org/net"] = Repo(files)
    assert load_backbone("hub:org/net").preprocess == wanted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": None}, "say how to prepare a photo"),
        ({"size": {"height": 16, "width": 20}}, "is not square"),
        ({"image_mean": [-1.0] * 3}, "mean"),
        ({"do_flip_channel_order": True}, "its do_flip_channel_order is on"),
        ({"resample": 0}, "say how to prepare a photo"),
        ({"image_mean": [0.5]}, "mean"),
    ],
)
def test_an_image_processor_that_we_lack_is_refused(
    change: dict[str, Any], words: str, hub: Hub
) -> None:
    processor = json.dumps(PROCESSOR | change).encode()
    files = {"config.json": b"{}", "model.onnx": ONNX, "preprocessor_config.json": processor}
    hub.repos["org/net"] = Repo(files)
    with pytest.raises(BadBackbone, match=words):
        load_backbone("hub:org/net")


# Networks of timm


@pytest.fixture
def timm() -> Any:
    """Return timm, with torch behind it, or skip."""
    pytest.importorskip("torch")
    return pytest.importorskip("timm")


def test_timms_own_weights_come_from_its_repository_and_are_kept(
    timm: Any, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_in(weights_in(tmp_path / "weights", timm, "test_resnet"))
    config = json.loads(files["config.json"])
    del config["pretrained_cfg"]["license"]  # as in the repositories of timm
    files |= {"config.json": json.dumps(config).encode(), "pytorch_model.bin": b"\x80\x04."}
    hub.repos["timm/test_resnet.r160_in1k"] = Repo(files)
    graph = encoder_of(shipped("pets").model)
    monkeypatch.setattr("fursure.networks.export.export_network", lambda *_: graph)
    found = load_backbone("timm:test_resnet")
    assert (found.name, found.licence) == ("timm:test_resnet", "apache-2.0")
    assert (found.preprocess.size, found.onnx) == (64, graph)
    assert hub.served == len(files["model.safetensors"])
    hub.close()
    without_torch(monkeypatch)
    assert load_backbone("timm:test_resnet") == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_resnat", "timm has test_byobnet"),
        ("test_resnet.in21k", r"timm has test_resnet\.r160_in1k\."),
        ("gcvit_tiny", r"on the hub, only https://.*\.pth, which may hold a pickle\..* convert it"),
        ("vit_base_patch16_18x2_224", "nobody trained it"),
    ],
)
def test_a_network_of_timm_without_safe_weights_says_so(
    name: str, words: str, timm: Any, hub: Hub
) -> None:
    with pytest.raises(UnknownBackbone, match=words):
        load_backbone(f"timm:{name}")
    assert hub.requests == []


def test_an_onnx_export_cannot_be_trained_further(timm: Any, hub: Hub) -> None:
    from fursure.networks.build import network

    hub.repos["org/net"] = Repo({"config.json": CONFIG, "model.onnx": ONNX})
    with pytest.raises(BadBackbone, match="hub:org/net is a finished graph of ONNX, which cannot"):
        network("hub:org/net", None)
