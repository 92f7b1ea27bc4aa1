"""`fursure push`, and answers of models on the hub, against a hub on this machine."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from console import fursure
from hub_server import READER, TOKEN, Hub, Repo
from samples import FORMAT_1

import fursure as package
from fursure.bundle.bundle import Bundle
from fursure.bundle.named import find_model, short_name
from fursure.commands.caches import cached, clear
from fursure.drawings.draw import draw, jpeg
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBundle, HubFailed, LicenceUnclear
from fursure.hub.upload import Destination

push = pytest.importorskip("fursure.push.push")
from fursure.push.hub_card import hub_card, licence_for  # noqa: E402

safetensors = pytest.importorskip("safetensors.numpy")

FILES = ["README.md", "model.fursure", "model.onnx", "head.safetensors", "preprocessor_config.json"]


@pytest.fixture
def hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Return a running hub that knows this process, and speaks plain HTTP."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "cat.jpg"
    path.write_bytes(jpeg(draw("cat", 3, size=96)))
    return path


def published(hub: Hub, *more: str) -> str:
    """Push the model of format 1 and return the address that was printed."""
    run = fursure("push", FORMAT_1, "org/pets", *more)
    assert run.returncode == 0, run.stderr
    assert "\r" not in run.stderr  # no bars of the hub's library where nobody watches
    return run.stdout.rstrip()


def asked(hub: Hub) -> list[str]:
    return [f"{request.method} {request.path}" for request in hub.requests]


# What goes there


def test_a_model_goes_to_a_private_repository_and_answers_from_there(hub: Hub, photo: Path) -> None:
    assert published(hub) == f"{hub.url()}/org/pets"
    repo = hub.repos["org/pets"]
    assert repo.private
    assert sorted(repo.files) == sorted([".gitattributes", *FILES])
    assert repo.messages == [f"{Bundle.read(FORMAT_1).meta.name}, measured on test photos"]
    there = fursure("predict", "-m", "hub:org/pets", photo, "--json")
    here = fursure("predict", "-m", FORMAT_1, photo, "--json")
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout


def test_the_card_has_what_machines_read_and_every_figure_with_its_interval(hub: Hub) -> None:
    from huggingface_hub import ModelCard

    published(hub, "--dataset", "org/photos", "--licence", "mit")
    text = hub.repos["org/pets"].files["README.md"].decode()
    bundle = Bundle.read(FORMAT_1)
    data: Any = ModelCard(text).data
    assert (data.library_name, data.pipeline_tag) == ("fursure", "image-classification")
    assert (data.license, data.datasets) == ("mit", ["org/photos"])
    results = {result.metric_type: result for result in data.eval_results}
    accuracy = bundle.meta.figures["accuracy"]
    assert results["accuracy"].metric_value == pytest.approx(accuracy["value"], abs=1e-6)
    low, high = f"{accuracy['low']:.4f}", f"{accuracy['high']:.4f}"
    assert f"95 % interval {low} to {high}, n = {accuracy['n']}" in results["accuracy"].metric_name
    assert "top5" not in results  # two classes have none
    assert bundle.card.rstrip() in text
    assert "fursure predict -m hub:org/pets" in text
    assert "published under mit. The weights of its encoder, " in text


def test_the_head_is_the_layers_from_features_to_logits() -> None:
    bundle = Bundle.read(FORMAT_1)
    layers = safetensors.load(push.head_tensors(bundle))
    outputs = OnnxRuntime(bundle.model, threads=1)(bundle.golden.pixels_NHWC)
    x_ND = outputs["features"]
    for number in range(len(layers) // 2):
        x_ND = np.maximum(x_ND, 0) if number else x_ND
        x_ND = x_ND @ layers[f"{number}.weight"].T + layers[f"{number}.bias"]
    assert np.allclose(x_ND, outputs["logits"], atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("crop", {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}),
        ("squash", {"size": {"height": 224, "width": 224}, "do_center_crop": False}),
        ("pad", None),
    ],
)
def test_preprocessing_is_told_to_transformers_where_it_has_words_for_it(
    mode: str, wanted: dict[str, object] | None
) -> None:
    bundle = find_model("pets")
    meta = replace(bundle.meta, preprocess=replace(bundle.meta.preprocess, mode=mode))  # type: ignore[arg-type]
    files = push.hub_files(replace(bundle, meta=meta), Destination(name="org/pets"))
    if wanted is None:
        assert "preprocessor_config.json" not in files
        assert b"preprocessor_config" not in files["README.md"]
        return
    told = json.loads(files["preprocessor_config.json"])
    assert {key: told[key] for key in wanted} == wanted
    assert (told["resample"], told["do_rescale"], told["do_normalize"]) == (3, False, False)


def test_a_second_push_is_another_commit_and_takes_away_what_is_no_longer_true(hub: Hub) -> None:
    hub.repos["org/pets"] = Repo({"model.fursure": b"old", "notes.txt": b"mine"}, private=True)
    hub.repos["org/pets"].files["preprocessor_config.json"] = b"{}"
    files = {"README.md": b"---\nlicense: mit\n---\n", "model.fursure": b"new"}
    push.push(files, Destination(name="org/pets", message="second"))
    repo = hub.repos["org/pets"]
    assert repo.files == {**files, "notes.txt": b"mine"}
    assert repo.messages == ["second"]


def test_a_branch_and_a_message_can_be_chosen(hub: Hub) -> None:
    published(hub, "--revision", "v2", "--message", "Better")
    repo = hub.repos["org/pets"]
    assert (repo.tags, repo.messages) == (["v2"], ["Better"])
    assert "POST /api/models/org/pets/commit/v2" in asked(hub)


def test_the_answer_for_machines_has_address_commit_and_visibility(hub: Hub) -> None:
    run = fursure("push", FORMAT_1, "org/pets", "--public", "--json")
    pushed = json.loads(run.stdout)
    repo = hub.repos["org/pets"]
    assert (pushed["commit"], pushed["private"], repo.private) == (repo.commit, False, False)
    assert pushed["url"].endswith("/org/pets")


def test_a_dry_run_shows_every_file_and_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run = fursure("push", FORMAT_1, "org/pets", "--dry-run", "--folder", folder)
    assert run.returncode == 0, run.stderr
    sizes = {
        name: size for size, name in re.findall(r"^ +([\d,]+)  (\S+)$", run.stdout, re.MULTILINE)
    }
    written = {path.name: f"{path.stat().st_size:,}" for path in folder.iterdir()}
    assert sizes == written
    assert set(sizes) == set(FILES)
    assert run.stdout.endswith((folder / "README.md").read_text())
    assert hub.requests == []
    assert find_model(str(folder / "model.fursure")).digest == Bundle.read(FORMAT_1).digest


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    run = fursure("push", FORMAT_1, "org/pets", "--dry-run", "--folder", tmp_path)
    assert run.returncode == 1
    assert "holds mine.txt, which is no part of it; name an empty folder" in run.stderr


def test_the_token_is_never_printed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for token in (TOKEN, READER, "hf_wrong"):
        monkeypatch.setenv("HF_TOKEN", token)
        run = fursure("push", FORMAT_1, "org/pets")
        assert run.stdout + run.stderr
        assert token not in run.stdout + run.stderr


# What is refused


REFUSED: list[tuple[str, Callable[[Hub, pytest.MonkeyPatch], object], list[str], str]] = [
    (
        "no token",
        lambda hub, patch: patch.delenv("HF_TOKEN"),
        [],
        "there is no token, .*; set HF_TOKEN to one that may write to org, or run `hf auth login`",
    ),
    (
        "a token that is none",
        lambda hub, patch: patch.setenv("HF_TOKEN", "hf_wrong"),
        [],
        "the hub does not know that token; set HF_TOKEN to a valid one that may write to org",
    ),
    (
        "no permission",
        lambda hub, patch: patch.setenv("HF_TOKEN", READER),
        [],
        "that token may not write to org; give it that permission at http.*/settings/tokens",
    ),
    (
        "another kind",
        lambda hub, patch: hub.repos.update({"org/pets": Repo({"model.safetensors": b""})}),
        ["--public"],
        r"org/pets is no fursure model \(model.safetensors in it\); choose another name",
    ),
    (
        "public already",
        lambda hub, patch: hub.repos.update({"org/pets": Repo({"model.fursure": b""})}),
        [],
        "org/pets is public, and everyone would see the model; pass --public where that is meant",
    ),
    (
        "a card the hub refuses",
        lambda hub, patch: setattr(hub, "refused_card", "license must be one of"),
        ["--licence", "mine"],
        "the hub refuses the card .*license must be one of",
    ),
    (
        "a hub in trouble",
        lambda hub, patch: setattr(hub, "broken", 500),
        [],
        "the hub answered .*500.*; run the same command again later",
    ),
    (
        "no network",
        lambda hub, patch: hub.close(),
        [],
        "the hub could not be reached .*; run the same command again. --dry-run --folder DIR",
    ),
    (
        "offline",
        lambda hub, patch: patch.setenv("FURSURE_OFFLINE", "1"),
        [],
        "FURSURE_OFFLINE or HF_HUB_OFFLINE forbids the network; --dry-run --folder DIR writes what",
    ),
]


@pytest.mark.parametrize(
    ("change", "more", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_hinders_a_push_is_a_sentence_and_nothing_is_committed(
    change: Callable[[Hub, pytest.MonkeyPatch], object],
    more: list[str],
    words: str,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(hub, monkeypatch)
    run = fursure("push", FORMAT_1, "org/pets", *more)
    assert run.returncode == 1
    assert re.search(f"^fursure: nothing was pushed: .*{words}", run.stderr, re.MULTILINE)
    assert not any(repo.messages for repo in hub.repos.values())


@pytest.mark.parametrize("name", ["pets", "a/b/c", "../x", "org/a b", "hub:org/pets"])
def test_what_is_no_name_of_a_repository_is_not_pushed_to(name: str, hub: Hub) -> None:
    run = fursure("push", FORMAT_1, name)
    assert "names no repository; write ORG/NAME" in run.stderr
    assert hub.requests == []


@pytest.mark.parametrize(
    ("licence", "words"),
    [
        ("unknown", "the licence of net, the encoder of pets, is unknown: .* cannot be told from"),
        ("cc-by-nc-nd-4.0", "is 'cc-by-nc-nd-4.0': its weights are in the model, and whether you"),
        ("apache-2.0 and unknown", "is unknown"),
        ("apache-2.0 and mit", "the encoders of pets are under apache-2.0 and mit; say under"),
        ("none: own weights", "the weights of pets are your own; say under which licence you pass"),
    ],
)
def test_a_licence_that_leaves_doubt_asks_whoever_publishes(licence: str, words: str) -> None:
    meta = replace(find_model("pets").meta, licence=licence, backbone="net")
    with pytest.raises(LicenceUnclear, match=words + ".*--licence"):
        licence_for(meta, None)
    assert licence_for(meta, "CC-BY-4.0") == "cc-by-4.0"
    with pytest.raises(LicenceUnclear, match="names no licence"):
        licence_for(meta, "mine: all rights\nreserved")


def test_a_free_licence_of_the_encoder_is_taken_over() -> None:
    meta = find_model("pets").meta
    assert licence_for(meta, None) == "apache-2.0"
    assert "license: apache-2.0" in hub_card(
        meta, "", name="org/pets", licence="apache-2.0", datasets=(), files=()
    )


@pytest.mark.parametrize("package", ["huggingface_hub", "safetensors"])
def test_without_the_extra_a_push_names_it(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from fursure.cli import main; "
        "main(['push', 'pets', 'org/pets', '--dry-run'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = "fursure: the Hugging Face Hub needs the extra 'hub'; run: pip install 'fursure[hub]'\n"
    assert (run.returncode, run.stderr) == (1, said)


# Answers of models on the hub


def test_a_model_is_fetched_once_and_a_branch_is_asked_for_once_a_run(
    hub: Hub, photo: Path, tmp_path: Path
) -> None:
    hub.repos["org/pets"] = Repo({"model.fursure": FORMAT_1.read_bytes(), "model.onnx": b"x"})
    first = fursure("predict", "-m", "hub:org/pets", photo, "--json")
    served = hub.served
    assert served == FORMAT_1.stat().st_size
    hub.requests.clear()
    second = fursure("predict", "-m", "hub:org/pets", photo, "--json")
    assert asked(hub) == ["GET /api/models/org/pets/revision/main"]
    assert (first.stdout, hub.served) == (second.stdout, served)
    (row,) = [row for row in cached() if row.kind == "models"]
    assert (Path(row.path).name, row.entries) == ("models--org--pets", 1)
    assert row.megabytes == pytest.approx(served / 1e6, rel=0.01)
    assert Path(row.path).is_relative_to(tmp_path / "home" / "models")


def test_a_branch_that_moved_brings_the_new_model_and_a_commit_never_moves(hub: Hub) -> None:
    hub.repos["org/pets"] = Repo({"model.fursure": FORMAT_1.read_bytes()})
    old = hub.repos["org/pets"].commit
    assert find_model(f"hub:org/pets@{old}").digest == Bundle.read(FORMAT_1).digest
    hub.repos["org/pets"] = Repo({"model.fursure": push._as_file(find_model("pets"))})
    assert find_model("hub:org/pets").digest == find_model("pets").digest
    hub.requests.clear()
    assert find_model(f"hub:org/pets@{old}").digest == Bundle.read(FORMAT_1).digest
    assert hub.requests == []


def test_without_a_network_the_copy_answers_and_says_so(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.repos["org/pets"] = Repo({"model.fursure": FORMAT_1.read_bytes()}, tags=["v1"])
    digest = find_model("hub:org/pets").digest
    with pytest.raises(BadBundle, match=r"no revision 'v2'"):
        find_model("hub:org/pets@v2")
    monkeypatch.setenv("FURSURE_OFFLINE", "1")
    hub.requests.clear()
    assert find_model("hub:org/pets").digest == digest
    assert (hub.requests, caplog.messages) == ([], [])
    monkeypatch.setenv("FURSURE_OFFLINE", "0")
    hub.close()
    assert find_model("hub:org/pets").digest == digest
    assert "hub:org/pets could not be looked for" in caplog.messages[0]
    with pytest.raises(BadBundle, match=r"could not be had .*Download its \.fursure file else.*v1"):
        find_model("hub:org/pets@v1")


def test_a_private_model_opens_to_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos["org/pets"] = Repo({"model.fursure": FORMAT_1.read_bytes()}, private=True)
    monkeypatch.delenv("HF_TOKEN")
    words = r"hub:org/pets is not a usable model: The hub has no model org/pets, or hides it: .*set"
    with pytest.raises(BadBundle, match=words):
        find_model("hub:org/pets")
    monkeypatch.setenv("HF_TOKEN", READER)
    assert package.load("hub:org/pets").bundle.digest == Bundle.read(FORMAT_1).digest


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no .fursure file, but no files"),
        ({"model.safetensors": b""}, r"but model\.safetensors\. A network for --backbone is no mo"),
        (
            {"a.fursure": b"", "b.fursure": b""},
            r"holds 2 models, a\.fursure, b\.fursure; fetch",
        ),
        ({"model.fursure": b"PK"}, "is not a usable model: damaged"),
    ],
)
def test_a_repository_without_one_good_model_says_what_it_has(
    files: dict[str, bytes], words: str, hub: Hub
) -> None:
    hub.repos["org/pets"] = Repo(files)
    with pytest.raises(BadBundle, match=words):
        find_model("hub:org/pets")


def test_a_model_of_the_hub_first_runs_in_a_child_like_any_strangers(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["org/pets"] = Repo({"model.fursure": FORMAT_1.read_bytes()})
    seen: list[int] = []
    monkeypatch.setattr(
        "fursure.engine.predictor.check_first_run", lambda model: seen.append(len(model))
    )
    package.load("hub:org/pets")
    assert seen == [len(Bundle.read(FORMAT_1).model)]


def test_fetched_models_stay_until_they_are_named(hub: Hub) -> None:
    hub.repos["org/pets"] = Repo({"model.fursure": FORMAT_1.read_bytes()})
    find_model("hub:org/pets")
    clear()
    assert [row.kind for row in cached()] == ["models"]
    run = fursure("cache", "clear", "--models")
    assert run.returncode == 0
    assert cached() == []


def test_a_model_of_the_hub_is_served_under_its_own_name() -> None:
    names = ["hub:org/pets@v1", "hub:org/pets", "pets", "some/folder/pets.fursure"]
    assert {short_name(name) for name in names} == {"pets"}


def test_a_name_that_climbs_is_refused_before_anything_is_asked(hub: Hub) -> None:
    with pytest.raises(BadBundle, match="A repository is named ORG/REPO or ORG/REPO@REVISION"):
        find_model("hub:../../etc")
    assert hub.requests == []
    with pytest.raises(HubFailed, match="names no branch"):
        push.push({}, Destination(name="org/pets", revision="../x"))
