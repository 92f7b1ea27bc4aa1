"""Broken, hostile and hopeless inputs, from the command line: one sentence each, no traceback."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import console
import numpy as np
import onnx
import pytest
from console import Run
from onnx import numpy_helper
from samples import draw_into

import fursure
from fursure.drawings.draw import draw, jpeg
from fursure.graphs.splice import spliced

Members = dict[str, bytes]
LIGHT = ("--engine", "onnxruntime", "--image-size", "96")  # which the drawings have
PETS = Path(fursure.__file__).parent / "models" / "pets.fursure"


def run(*args: object, largest: int | None = None, **env: str) -> Run:
    """Run a command; ``largest`` is the size in bytes at which its files hit a full disk."""
    if largest is None:
        return console.fursure(*args, env=env)

    def full_disk() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    return subprocess.run(
        [sys.executable, "-m", "fursure", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"} | env,
        preexec_fn=full_disk,
    )


def fails(*args: object, words: tuple[str, ...], **knobs: Any) -> None:
    """Check that a command fails in one sentence that holds ``words``."""
    made = run(*args, **knobs)
    assert made.returncode == 1, made.stderr
    assert made.stdout == ""
    assert made.stderr.startswith("fursure: ")
    assert made.stderr.count("\n") == 1, made.stderr
    for word in words:
        assert word in made.stderr


def train(data: Path, output: Path, *args: object, **knobs: Any) -> Run:
    return run("train", data, "-o", output, *LIGHT, *args, **knobs)


def refuses(data: Path, *words: str) -> None:
    """Check that training on ``data`` fails in one sentence and leaves nothing beside it."""
    folder = data.parent / "out"
    folder.mkdir()
    output = folder / "m.fursure"
    fails("train", data, "-o", output, "--engine", "onnxruntime", "-q", words=words)
    assert not list(folder.iterdir())


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_size for path in folder.rglob("*")}


def archive_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for photo in sorted(folder.rglob("*.jpg")):
            archive.write(photo, str(photo.relative_to(folder)))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return class folders of four drawn cats and four drawn dogs."""
    return draw_into(tmp_path / "photos", count=4)


# Data sets


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    refuses(tmp_path / "nowhere", "nowhere does not exist; give a folder")


def test_an_empty_folder_says_what_belongs_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", "empty holds no photos", "one folder of images per class")


def test_a_text_called_zip_is_said_to_be_text(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_text("<html>404 Not Found</html>")
    refuses(tmp_path / "photos.zip", "photos.zip holds text ('<html>404", "give a folder, a .zip")


def test_half_a_zip_is_said_to_be_incomplete(photos: Path, tmp_path: Path) -> None:
    path = archive_of(photos, tmp_path / "photos.zip")
    path.write_bytes(path.read_bytes()[:5000])
    refuses(path, "photos.zip", "copy or download it again")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, ("'fox'",)), (1, ("class 'fox' has 1 usable photo and training needs 2; add 1 more",))],
)
def test_a_class_too_small_is_named(count: int, words: tuple[str, ...], photos: Path) -> None:
    (photos / "fox").mkdir()
    for seed in range(count):
        (photos / "fox" / f"{seed}.jpg").write_bytes(jpeg(draw("stranger", seed, size=96)))
    refuses(photos, *words)


def test_three_photos_of_a_class_are_enough(photos: Path, tmp_path: Path) -> None:
    draw_into(photos, count=3, kinds=("stranger",))
    (photos / "stranger").rename(photos / "thing")
    made = train(photos, tmp_path / "m.fursure", "-q", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["figures"]["n"] == 11


def test_one_class_is_no_choice(photos: Path) -> None:
    shutil.rmtree(photos / "dog")
    refuses(photos, "only one class, 'cat'", "at least two")


def test_names_that_lead_out_of_a_zip_write_nothing(photos: Path, tmp_path: Path) -> None:
    path = archive_of(photos, tmp_path / "photos.zip")
    evil = jpeg(draw("stranger", 1, size=64))
    link = zipfile.ZipInfo("cat/link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../evil.jpg", "cat/../../evil.jpg", "/tmp/evil.jpg", "..\\evil.jpg"):  # noqa: S108
            archive.writestr(name, evil)
        archive.writestr(link, "/etc/passwd")
    (tmp_path / "out").mkdir()
    before = tree(tmp_path)
    made = train(path, tmp_path / "out" / "m.fursure", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["figures"]["n"] == 8
    assert "4 unsafe name" in made.stderr
    after = tree(tmp_path)
    new = {Path(name).name for name in after.keys() - before.keys()}
    assert new == {"m.fursure", "m.manifest.jsonl", "m.metrics.json", "m.report.html"}
    assert not Path("/tmp/evil.jpg").exists()  # noqa: S108


@pytest.mark.long
@pytest.mark.parametrize("declared", [None, 1000, 90_000])
def test_a_bomb_in_a_zip_is_left_out_and_the_rest_is_trained(
    declared: int | None, photos: Path, tmp_path: Path
) -> None:
    path = archive_of(photos, tmp_path / "photos.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/bomb.jpg", bytes(80 * 2**20))
        if declared is not None:  # the directory lies about it
            archive.infolist()[-1].file_size = declared
    made = train(path, tmp_path / "m.fursure", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["figures"]["n"] == 8
    assert "left out photos.zip!cat/bomb.jpg: " in made.stderr


def test_a_photo_that_is_a_bomb_is_left_out_and_the_rest_is_trained(
    photos: Path, tmp_path: Path
) -> None:
    data = bytearray(_png())
    data[16:24] = (50_000).to_bytes(4) * 2
    (photos / "cat" / "bomb.png").write_bytes(data)
    made = train(photos, tmp_path / "m.fursure", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["figures"]["n"] == 8
    assert "left out cat/bomb.png: 50,000 × 50,000 pixels; the limit is" in made.stderr


def _png() -> bytes:
    buffer = io.BytesIO()
    draw("cat", 1, size=64).save(buffer, "PNG")
    return buffer.getvalue()


def table_of(photos: Path, header: str, *more: str) -> Path:
    rows = [
        f"{path.relative_to(photos).as_posix()},{path.parent.name}"
        for path in sorted(photos.rglob("*.jpg"))
    ]
    (photos / "labels.csv").write_text("\n".join([header, *rows, *more]) + "\n")
    return photos / "labels.csv"


def test_a_table_that_names_missing_files_trains_on_the_others(
    photos: Path, tmp_path: Path
) -> None:
    path = table_of(photos, "path,label", "cat/gone.jpg,cat", "../../etc/passwd.jpg,dog")
    made = train(path, tmp_path / "m.fursure", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["figures"]["n"] == 8
    assert "left out cat/gone.jpg: " in made.stderr


def test_a_table_with_unknown_columns_says_which_it_needs(photos: Path) -> None:
    fails(
        "train", table_of(photos, "foo,bar"), "-q", "-o", photos / "m.fursure",
        words=("labels.csv", "foo", "path", "label"),
    )  # fmt: skip
    assert not (photos / "m.fursure").exists()


def test_evaluation_needs_labels_that_the_model_knows(photos: Path, tmp_path: Path) -> None:
    (photos / "dog").rename(photos / "fox")
    fails("evaluate", PETS, photos, "-q", words=("the label 'fox'", "it knows cat, dog"))
    flat = tmp_path / "flat"
    flat.mkdir()
    for seed in range(3):
        (flat / f"{'xyz'[seed]}.jpg").write_bytes(jpeg(draw("cat", seed, size=64)))
    fails("evaluate", PETS, flat, "-q", words=(str(flat), "label"))


@pytest.mark.slow  # importing torch in a new process takes seconds
def test_weights_of_another_architecture_are_refused(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    cfg = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "config.json").write_text(
        json.dumps({"architecture": "test_resnet", "pretrained_cfg": cfg})
    )
    if find_spec("timm") is None:  # found, not imported: that takes seconds
        pytest.skip("no timm to make networks with")
    from safetensors.numpy import save_file

    save_file({"conv1.weight": np.zeros((8, 3, 3, 3), np.float32)}, folder / "model.safetensors")
    fails(
        "train", photos, "-o", tmp_path / "m.fursure", "--backbone", folder, "-q",
        words=("are not those of test_resnet", "tensors differ (bn1.", "config.json"),
    )  # fmt: skip
    assert not (tmp_path / "m.fursure").exists()


# Models


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def summed(members: Members) -> None:
    """Let the sums be those of the members, as whoever forges a model would."""
    names = sorted(members.keys() - {"SHA256SUMS"})
    sums = [f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in names]
    members["SHA256SUMS"] = "".join(sums).encode()


def _flipped(members: Members) -> None:
    data = bytearray(members["model.onnx"])
    data[len(data) // 2] ^= 1
    members["model.onnx"] = bytes(data)


def _missing(members: Members) -> None:
    del members["golden.npz"]


def _extra(members: Members) -> None:
    members["run.py"] = b"print('owned')"


def _newer(members: Members) -> None:
    values = json.loads(members["bundle.json"])
    members["bundle.json"] = json.dumps(values | {"format": 99}).encode()
    summed(members)


def _external(members: Members) -> None:
    model = onnx.load_from_string(members["model.onnx"])
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    Path("weights.bin").write_bytes(tensor.raw_data)  # where both engines would look for it
    onnx.external_data_helper.set_external_data(tensor, location="weights.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    members["model.onnx"] = model.SerializeToString()
    summed(members)


def _constant_elsewhere(members: Members) -> None:
    model = onnx.load_from_string(members["model.onnx"])
    value = numpy_helper.from_array(np.zeros(4, np.float32), "value")
    onnx.external_data_helper.set_external_data(value, location="weights.bin")
    value.data_location = onnx.TensorProto.EXTERNAL
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["aside"], value=value))
    members["model.onnx"] = model.SerializeToString()
    summed(members)


def _no_network(members: Members) -> None:
    members["model.onnx"] = b"\x0b" * 100
    summed(members)


def _another_network(members: Members) -> None:
    model = onnx.load_from_string(members["model.onnx"])
    model.graph.output[0].name = "odds"
    next(node for node in model.graph.node if "probs" in node.output).output[0] = "odds"
    members["model.onnx"] = model.SerializeToString()
    summed(members)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (_flipped, "model.onnx in it is not what was written (its sha256 differs); copy it again"),
        (_missing, "golden.npz is missing; copy it again"),
        (_extra, "it also holds 'run.py', which no bundle has"),
        (_newer, "its format is 99 and this fursure reads up to 2; upgrade fursure"),
        (_external, "model.onnx in it keeps weights in another file; train it again"),
        (_constant_elsewhere, "model.onnx in it keeps weights in another file; train it again"),
        (_no_network, "model.onnx in it is no ONNX network"),
        (_another_network, "onnxruntime"),
    ],
)
def test_a_model_that_was_damaged_or_forged_answers_nothing(
    forge: Callable[[Members], None],
    words: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    members = members_of(PETS)
    members["model.onnx"] = spliced(members.pop("model.splice"))[0]
    forge(members)
    with zipfile.ZipFile(tmp_path / "m.fursure", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    named = ("m.fursure", words) if forge is not _another_network else (words,)
    fails("predict", "-m", "m.fursure", photos / "cat" / "cat.0.jpg", words=named)
    fails("evaluate", "m.fursure", photos, "-q", words=named)


# Disks


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_leaves_no_half_model_and_the_old_one_intact(
    photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    output = folder / "m.fursure"
    small = 300_000  # bytes: enough for the caches, too few for a model
    fails(
        "train", photos, "-o", output, "--engine", "onnxruntime", "-q",
        largest=small, words=("m.fursure: File too large",),
    )  # fmt: skip
    assert not {path.suffix for path in folder.iterdir()} & {".fursure", ".part"}
    assert train(photos, output, "-q").returncode == 0
    before = output.read_bytes()
    fails(
        "train", photos, "-o", output, "--engine", "onnxruntime", "-q", "--seed", "1",
        "--overwrite", largest=small, words=("m.fursure: File too large",),
    )  # fmt: skip
    assert output.read_bytes() == before
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_for_the_caches_is_a_sentence(photos: Path, tmp_path: Path) -> None:
    fails(
        "train", photos, "-o", tmp_path / "m.fursure", "--engine", "onnxruntime", "-q",
        largest=5000, FURSURE_HOME=str(tmp_path / "home"),
        words=("the cache ", "cannot be used: ", "free some space"),
    )  # fmt: skip


def test_an_output_below_a_file_is_refused_before_any_work(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    fails(
        "train", photos, "-o", tmp_path / "file" / "m.fursure", "-q",
        words=(f"the folder {tmp_path / 'file'} for the model", "make it first"),
    )  # fmt: skip
    table = tmp_path / "file" / "out.csv"
    fails("predict", photos, "--csv", table, "-q", words=("out.csv", "Not a directory"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize(
    ("args", "name"),
    [
        (("predict", "photos", "-q", "--csv", "out.csv"), "out.csv"),
        pytest.param(
            ("evaluate", "pets", "photos", "-q", "--report", "out.html"),
            "out.html",
            marks=pytest.mark.long,
        ),
        (("split", "photos", "--out", "divided"), "the cache"),
        pytest.param(("check", "photos", "-q"), "the cache", marks=pytest.mark.long),
        pytest.param(("demo", "--into", "demo"), "demo", marks=pytest.mark.long),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_full_disk_names_the_file_and_what_to_do_in_every_command(
    args: tuple[str, ...], name: str, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    made = run(*args, largest=200)
    assert made.returncode == 1, made.stderr
    last = made.stderr.splitlines()[-1]
    assert last.startswith("fursure: ")
    assert name in last
    assert "free some space" in last
    assert "Traceback" not in made.stderr


# Archives


def test_members_inside_each_other_are_left_out_of_a_zip(photos: Path, tmp_path: Path) -> None:
    """Fifield's zip bomb: thousands of names for the same packed bytes."""
    path = archive_of(photos, tmp_path / "photos.zip")
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("cat/cat.0.jpg")
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(1000):
            name = zipfile.ZipInfo(f"cat/again{number}.jpg")
            name.header_offset, name.CRC = first.header_offset, first.CRC
            name.compress_size, name.file_size = first.compress_size, first.file_size
            archive.filelist.append(name)
            archive.NameToInfo[name.filename] = name
        archive._didModify = True  # type: ignore[attr-defined]
    made = train(path, tmp_path / "m.fursure", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["figures"]["n"] == 8
    assert "1000 member inside another, as in a zip bomb" in made.stderr
