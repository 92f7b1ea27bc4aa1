import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fursure.bundle import LIMITS, Bundle, short_digests
from fursure.errors import BadBundle, RiskNotCertified
from fursure.recipe import Recipe
from fursure.workflows.train import Trained, train

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
    assert set(members(data)) == set(LIMITS)


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


@settings(max_examples=200, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_changes_nothing(
    data: bytes, tmp_path_factory: pytest.TempPathFactory, position: float, bit: int
) -> None:
    changed = bytearray(data)
    changed[int(position * len(data))] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped.fursure"
    path.write_bytes(changed)
    try:
        found = Bundle.read(path)
    except BadBundle:
        return
    found.write(path)  # only the archive's own bookkeeping (dates, say) may differ
    assert path.read_bytes() == data


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("golden.npz"), "golden.npz is missing"),
        (lambda found: found | {"evil.py": b"1"}, "also holds 'evil.py'"),
        (lambda found: found | {"../../evil": b"1"}, "also holds '../../evil'"),
        (with_json(format=2), "format is 2 and this fursure reads 1; upgrade fursure"),
        (with_json(format="x"), "format is 'x'"),
        (with_json(surprise=1), "lacks or adds surprise"),
        (with_json(labels=["cat"]), "two different printable names"),
        (with_json(labels=["cat", "\u202edog"]), "two different printable names"),
        (with_json(temperature="hot"), "temperature in bundle.json is no number"),
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
    with pytest.raises(BadBundle, match=r"[Oo]bject arrays|pickle"):
        Bundle.read(rewritten(tmp_path, members(data) | {"golden.npz": buffer.getvalue()}))


def test_no_name_or_pixel_of_the_photos_is_in_the_bundle(
    trained: Trained, drawings: Path, data: bytes
) -> None:
    assert str(drawings).encode() not in data
    assert b"cat.3.jpg" not in data
    assert (drawings / "cat" / "cat.3.jpg").read_bytes() not in data


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
