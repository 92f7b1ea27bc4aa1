import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from figures import at_figure
from samples import FORMAT_1

from fursure.bundle.bundle import Bundle, short_digest, short_digests
from fursure.bundle.members import MEMBER_LIMITS
from fursure.bundle.named import find_model
from fursure.commands.api import train
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBundle, RiskNotCertified
from fursure.heads.card import card
from fursure.npz import packed
from fursure.recipe import Recipe
from fursure.sureness.risk import RiskTable, risk_table
from fursure.training.train import Trained

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def data(trained: Trained) -> bytes:
    return trained.path.read_bytes()


def members(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(tmp_path: Path, change: Members, *, compress: bool = False) -> Path:
    """Write a bundle of other members, with sums that fit them."""
    import hashlib

    sums = "".join(
        f"{hashlib.sha256(value).hexdigest()}  {name}\n"
        for name, value in change.items()
        if name != "SHA256SUMS"
    )
    path = tmp_path / "changed.fursure"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compress else 0) as archive:
        for name, value in (change | {"SHA256SUMS": sums.encode()}).items():
            archive.writestr(name, value)
    return path


def test_a_bundle_comes_back_as_it_was_written(trained: Trained, tmp_path: Path) -> None:
    again = Bundle.read(trained.path)
    assert again.meta == trained.bundle.meta
    assert again.model == trained.bundle.model
    assert again.digest == trained.bundle.digest
    again.write(tmp_path / "again.fursure")
    assert (tmp_path / "again.fursure").read_bytes() == trained.path.read_bytes()


def test_a_bundle_holds_exactly_the_members_of_the_design(data: bytes) -> None:
    assert set(members(data)) == MEMBER_LIMITS.keys() - {"model.splice"}  # the network, or that


def test_the_same_members_in_a_folder_are_a_bundle_too(data: bytes, tmp_path: Path) -> None:
    for name, value in members(data).items():
        (tmp_path / name).write_bytes(value)
    assert Bundle.read(tmp_path).digest == Bundle.read(tmp_path).digest


def test_a_linked_member_is_refused(data: bytes, tmp_path: Path) -> None:
    for name, value in members(data).items():
        (tmp_path / name).write_bytes(value)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "model.onnx").rename(tmp_path / "elsewhere" / "model")
    (tmp_path / "model.onnx").symlink_to(tmp_path / "elsewhere" / "model")
    with pytest.raises(BadBundle, match=r"elsewhere|link"):
        Bundle.read(tmp_path)
    (tmp_path / "model.onnx").unlink()
    os.link(tmp_path / "elsewhere" / "model", tmp_path / "model.onnx")
    (tmp_path / "elsewhere" / "model").rename(tmp_path.parent / "model-of-another")
    (tmp_path / "elsewhere").rmdir()
    with pytest.raises(BadBundle, match=r"model\.onnx in it is a link"):
        Bundle.read(tmp_path)


@pytest.mark.parametrize("count", at_figure(200, 2_000))
def test_a_flipped_bit_is_noticed_or_changes_nothing(
    data: bytes, tmp_path: Path, count: int
) -> None:
    chance, path = random.Random(count), tmp_path / "flipped.fursure"
    path.write_bytes(data)
    for _ in range(count):
        end = len(data) if chance.random() < 0.5 else 60_000  # the facts, beside the weights
        place = len(data) - 1 - chance.randrange(end)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([data[place] ^ 1 << chance.randrange(8)]))
        with suppress(BadBundle):
            Bundle.read(path).write(path)
            assert path.read_bytes() == data  # only the archive's bookkeeping (dates) differed
        with path.open("r+b") as file:
            file.seek(place)
            file.write(data[place : place + 1])


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_bundle_is_refused(data: bytes, tmp_path: Path, keep: float) -> None:
    path = tmp_path / "half.fursure"
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(BadBundle, match=r"half\.fursure is not a usable model"):
        Bundle.read(path)


def without(name: str) -> Callable[[Members], Members]:
    return lambda found: {key: value for key, value in found.items() if key != name}


def with_json(**change: object) -> Callable[[Members], Members]:
    def edit(found: Members) -> Members:
        values = json.loads(found["bundle.json"]) | change
        return found | {"bundle.json": json.dumps(values).encode()}

    return edit


def lacking(name: str) -> Callable[[Members], Members]:
    def edit(found: Members) -> Members:
        values = {key: one for key, one in json.loads(found["bundle.json"]).items() if key != name}
        return found | {"bundle.json": json.dumps(values).encode()}

    return edit


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("golden.npz"), "golden.npz is missing"),
        (lambda found: found | {"evil.py": b"1"}, "also holds 'evil.py'"),
        (lambda found: found | {"../../evil": b"1"}, "also holds '../../evil'"),
        (with_json(format=3), "format is 3 and this fursure reads up to 2; upgrade fursure"),
        (with_json(format="x"), "format is 'x'"),
        (with_json(format=True), "format is True, which no fursure wrote"),
        (with_json(format=0), "format is 0, which no fursure wrote"),
        (with_json(surprise=1), "holds surprise, which is unknown"),
        (lacking("risks"), "bundle.json lacks risks"),
        (with_json(labels=["cat"]), "two different printable names"),
        (with_json(labels=["cat", "\u202edog"]), "two different printable names"),
        (with_json(temperature="hot"), "bundle.json: temperature is no number"),
        (with_json(temperature=0), "outside"),
        (lambda found: found | {"bundle.json": b'{"a": NaN}'}, "NaN"),
        (lambda found: found | {"bundle.json": b"[" * 5000}, "nests more than"),
        (lambda found: found | {"bundle.json": b"\xff\xfe"}, "utf-8"),
        (lambda found: found | {"golden.npz": b"no archive"}, "damaged"),
    ],
)
def test_a_foreign_bundle_is_refused_with_the_reason(
    data: bytes, tmp_path: Path, change: Callable[[Members], Members], reason: str
) -> None:
    with pytest.raises(BadBundle) as error:
        Bundle.read(rewritten(tmp_path, change(members(data))))
    assert reason in str(error.value)


def test_a_compressed_bundle_is_refused_before_it_is_unpacked(data: bytes, tmp_path: Path) -> None:
    bomb = members(data) | {"card.md": b"0" * 900_000}
    with pytest.raises(BadBundle, match="compressed"):
        Bundle.read(rewritten(tmp_path, bomb, compress=True))


def test_a_member_beyond_its_limit_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="more than the 1048576 allowed"):
        Bundle.read(rewritten(tmp_path, members(data) | {"card.md": b"0" * (2**20 + 1)}))


def test_a_pickled_array_is_never_opened(data: bytes, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, jpeg=np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(BadBundle, match="pickle"):
        Bundle.read(rewritten(tmp_path, members(data) | {"golden.npz": buffer.getvalue()}))


def test_no_name_or_pixel_of_the_photos_is_in_the_bundle(
    trained: Trained, drawings: Path, data: bytes
) -> None:
    assert str(drawings).encode() not in data
    assert b"cat.3.jpg" not in data
    assert (drawings / "cat" / "cat.3.jpg").read_bytes() not in data


@pytest.mark.long
def test_the_path_of_a_backbone_is_not_in_the_bundle(
    trained: Trained, drawings: Path, tmp_path: Path
) -> None:
    recipe = Recipe(backbone=str(trained.path))
    made = train(drawings, tmp_path / "m.fursure", recipe)
    assert str(trained.path.parent).encode() not in made.path.read_bytes()
    assert not train(drawings, tmp_path / "m.fursure", recipe).new


def test_a_bundle_remembers_which_photos_made_it(trained: Trained, drawings: Path) -> None:
    import hashlib

    digest = hashlib.sha256((drawings / "cat" / "cat.3.jpg").read_bytes()).hexdigest()
    assert digest in trained.bundle.seen
    assert "00" * 32 not in trained.bundle.seen
    assert short_digests([digest])[0] == int(digest[:16], 16)


def test_a_missing_model_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="fursure train"):
        Bundle.read(tmp_path / "none.fursure")


def test_a_risk_nobody_certified_is_refused_in_a_sentence(trained: Trained) -> None:
    with pytest.raises(RiskNotCertified, match=r"0\.1 %.*Accept a larger --max-error"):
        trained.bundle.threshold(0.001)


def test_an_uncertified_bundle_answers_from_a_cautious_confidence(trained: Trained) -> None:
    bare = replace(trained.bundle.meta.risks, rows=())
    bundle = replace(trained.bundle, meta=replace(trained.bundle.meta, risks=bare))
    assert bundle.threshold() == 0.9


@pytest.mark.parametrize("known_lost", [0.0, 0.01, 0.5])
def test_what_is_not_familiar_at_all_is_a_stranger_whatever_is_asked(
    trained: Trained, known_lost: float
) -> None:
    familiar = replace(trained.bundle.familiar, threshold=known_lost)
    bundle = replace(trained.bundle, familiar=familiar)
    for confidence, asked in ((1.0, 0.0), (1.0, 0.9), (0.5, 0.9)):
        assert bundle.answer("cat", confidence, 0.0, asked) == "stranger"
    assert bundle.answer("cat", 1.0, 1.0, 0.9) == "cat"
    assert bundle.answer("cat", 0.5, 1.0, 0.9) == "unsure"


def test_how_far_a_photo_is_decides_who_is_a_stranger_not_the_classifier(trained: Trained) -> None:
    assert trained.bundle.familiar.readout is None


# Formats of older versions


def test_a_bundle_of_format_1_is_read_and_answers_as_it_did() -> None:
    bundle = Bundle.read(Path(__file__).parent / "data" / "format-1.fursure")
    assert (bundle.meta.format, len(bundle.seen.training)) == (1, 8433)
    assert bundle.encoder_seen == frozenset()
    out = OnnxRuntime(bundle.model, threads=1)(bundle.golden.pixels_NHWC)
    assert np.allclose(out["probs"], bundle.golden.probs_NK, atol=1e-5)


def test_what_an_older_version_did_not_write_has_its_default(data: bytes, tmp_path: Path) -> None:
    made = Bundle.read(rewritten(tmp_path, lacking("versions")(members(data))))
    assert made.meta.versions == {}


def test_before_format_2_a_tuned_encoder_has_seen_what_its_model_has(trained: Trained) -> None:
    bundle = trained.bundle
    tuned = replace(bundle.meta, recipe={**bundle.meta.recipe, "tune": {}})
    old = replace(bundle, meta=replace(tuned, format=1))
    everything = {*bundle.seen.training.tolist(), *bundle.seen.validation.tolist()}
    assert old.encoder_seen == everything
    assert replace(bundle, meta=tuned).encoder_seen == frozenset()


def test_what_the_encoder_has_seen_is_kept_and_counts_as_seen(
    trained: Trained, tmp_path: Path
) -> None:
    digests = [f"{number:064x}".replace("0", "f") for number in (1, 2)]
    seen = replace(trained.bundle.seen, encoder=short_digests(digests))
    path = tmp_path / "seen.fursure"
    replace(trained.bundle, seen=seen).write(path)
    again = Bundle.read(path)
    assert again.encoder_seen == {short_digest(digest) for digest in digests}
    assert all(digest in again.seen for digest in digests)


def test_a_certificate_does_not_lower_the_bar_unasked(trained: Trained) -> None:
    certified = risk_table(np.linspace(0.4, 1, 400), np.ones(400, bool))
    assert certified.threshold_for(0.01) == 0  # it would answer everything
    meta = replace(trained.bundle.meta, risks=certified, max_error=0.01)
    bundle = replace(trained.bundle, meta=meta)
    assert bundle.threshold() == meta.default_threshold == 0.9
    assert "from confidence 0.9000 on" in card(meta)
    assert bundle.threshold(0.01) == 0  # asked for, and promised


def test_a_strict_certificate_raises_the_bar(trained: Trained) -> None:
    [row] = risk_table(np.ones(400), np.ones(400, bool), risks=(0.01,)).rows
    strict = RiskTable(rows=(replace(row, threshold=0.97),), n=400, delta=0.1)
    meta = replace(trained.bundle.meta, risks=strict, max_error=0.01)
    assert replace(trained.bundle, meta=meta).threshold() == 0.97


def test_no_array_of_objects_is_written() -> None:
    with pytest.raises(ValueError, match="Python objects"):
        packed({"labels": np.array([object()])})


def test_a_folder_of_photos_called_like_the_shipped_model_hides_it_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fursure split … --out pets` makes one; a model of that name, in a folder, is meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    assert find_model("pets").shipped
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(tmp_path / "pets")
    assert not find_model("pets").shipped
