"""A training that is stopped, killed or damaged goes on where it was, to the same bits."""

import errno
import hashlib
import json
import math
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from disks import on_a_small_disk
from figures import at_figure
from test_files import age

from fursure.errors import ForeignCheckpoint
from fursure.files import replacing
from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune, Stage

pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import torch  # noqa: E402
from safetensors.torch import save  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from fursure.finetuning.batch_norm import folded, hurry  # noqa: E402
from fursure.finetuning.batches import TrainingPhotos  # noqa: E402
from fursure.finetuning.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from fursure.finetuning.classifier import Classifier, random_head  # noqa: E402
from fursure.finetuning.state import State  # noqa: E402
from fursure.finetuning.trainer import Trainer  # noqa: E402

OF = {"recipe": {"name": "mine", "seed": 0}, "photos": "abc"}
TENSORS = {
    "model/weight": torch.arange(6.0).view(2, 3),
    "adam.step/weight": torch.tensor(3.0),
    "half": torch.ones(4, dtype=torch.bfloat16),
}
NOTE = {"place": {"step": 3, "best_loss": math.inf}, "epochs": [{"train_loss": 0.1, "best": True}]}


# Files


def saved(folder: Path, count: int) -> Path:
    """Write so many checkpoints, each of them with its number in the note."""
    for number in range(1, count + 1):
        tensors = {name: tensor + number for name, tensor in TENSORS.items()}
        save_checkpoint(folder, tensors, {**NOTE, "number": number}, of=OF)
    return folder


def newest(folder: Path) -> int | None:
    """Return the number of the checkpoint that is loaded, whose tensors have to be its own."""
    found = load_checkpoint(folder, of=OF)
    if found is None:
        return None
    tensors, note = found
    number: int = note["number"]
    assert note == {**NOTE, "number": number}
    assert set(tensors) == set(TENSORS)
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        assert torch.equal(tensor, TENSORS[name] + number)
    return number


def test_what_is_saved_is_loaded_and_the_newest_first(tmp_path: Path) -> None:
    assert newest(tmp_path / "nothing") is None
    assert newest(tmp_path) is None
    assert newest(saved(tmp_path, 2)) == 2


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    names = {path.name for path in saved(tmp_path, 5).iterdir()}
    assert names == {"4.json", "4.safetensors", "5.json", "5.safetensors"}
    assert newest(tmp_path) == 5


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "flipped": flipped,
    "torn": lambda data, offset: data[:offset],
    "zeroed": lambda data, offset: data[:offset] + bytes(len(data) - offset),
}


@pytest.mark.parametrize("count", at_figure(100, 1000, quick=True))
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, kind: str, damage: str, count: int
) -> None:
    path = saved(tmp_path, 2) / f"2.{kind}"
    whole = path.read_bytes()
    for offset in random.Random(count).choices(range(len(whole)), k=count):
        path.write_bytes(DAMAGES[damage](whole, offset))
        damaged = path.read_bytes() != whole  # zeroing the end may change nothing
        assert newest(tmp_path) == (1 if damaged else 2), offset
    path.write_bytes(whole)
    assert newest(tmp_path) == 2


def test_a_missing_half_falls_back_and_nothing_whole_is_nothing(tmp_path: Path) -> None:
    saved(tmp_path, 3)
    (tmp_path / "3.json").unlink()  # killed between the two writes
    assert newest(tmp_path) == 2
    (tmp_path / "2.safetensors").unlink()
    assert newest(tmp_path) is None
    assert newest(saved(tmp_path, 1)) == 1  # and the next one is found in spite of them


def test_other_files_beside_the_checkpoints_are_left_alone(tmp_path: Path) -> None:
    strange = ["notes.txt", ".3.safetensors.x.part", "best.safetensors", "9.json"]
    for name in strange:
        (tmp_path / name).write_bytes(b"{}")
    assert newest(saved(tmp_path, 3)) == 3
    assert all((tmp_path / name).exists() for name in strange)


def test_a_checkpoint_of_another_format_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, 1)
    monkeypatch.setattr("fursure.finetuning.checkpoint.CHECKPOINT_FORMAT", 2)
    assert newest(tmp_path) is None


def test_another_recipe_s_checkpoint_says_what_differs(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    other = {"recipe": {"name": "mine", "seed": 1}, "photos": "abc", "torch": "9"}
    words = (
        r"holds the checkpoints of another training \(recipe, torch differ\); remove that folder"
    )
    with pytest.raises(ForeignCheckpoint, match=words):
        load_checkpoint(tmp_path, of=other)


def test_no_checkpoint_is_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (pickle, "dump"),
        (pickle, "dumps"),
        (pickle, "load"),
        (pickle, "loads"),
        (torch, "save"),
        (torch, "load"),
    ):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("a pickle"))
    assert newest(saved(tmp_path, 2)) == 2


# Going on


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Let torch work alone: a second thread costs such small networks more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """A convolution with a BatchNorm, and a depthwise one that skips pixels."""

    num_features = 8
    feature_info = ({"module": "low"}, {"module": "high"})

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())
        self.high = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1, groups=4), nn.Conv2d(4, 8, 1))

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        return torch.relu(self.high(self.low(x_NCHW)))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {"stem": "^low", "blocks": "^high"}


RANDOM = FineTune(  # every kind of chance there is
    stages=(Stage(part="last-block", epochs=2, rate=0.03), Stage(epochs=2, rate=0.01)),
    augment="strong",
    batch=4,
    dropout=0.3,
    mixup=0.4,
    cutmix=1.0,
    ema=0.9,
    label_smoothing=0.1,
    sampling="balanced",
    precision="fp32",
)


def begun(settings: FineTune, *, kind: str = "small") -> Trainer:
    """Return a training before its first step, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net: Any = Net() if kind == "small" else folded(timm.create_model(kind), 32)
    hurry(net)
    model = Classifier(net, random_head((net.num_features, 8, 2), 0), settings.dropout)
    model.to(memory_format=torch.channels_last)
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (22, 40, 40, 3), dtype=np.uint8)
    labels_N = np.arange(22) % 3 // 2
    photos = TrainingPhotos(
        squares_NHWC=pixels_NHWC[:14],
        labels_N=labels_N[:14],
        inputs_VHWC=pixels_NHWC[14:, :32, :32],
        labels_V=labels_N[14:],
        preprocess=Preprocess(size=32, crop=0.8),
    )
    return Trainer(photos, settings, State.of(model), seed=3)


def save_state(trainer: Trainer, folder: Path) -> None:
    save_checkpoint(folder, trainer.state.tensors(), trainer.state.note(), of=OF)


def resumed(trainer: Trainer, folder: Path) -> Trainer:
    """Let ``trainer`` go on where the checkpoints in ``folder`` stop, if there are any."""
    kept = load_checkpoint(folder, of=OF)
    if kept is not None:
        trainer.state.restore(*kept)
        trainer.resumed = kept[0]
    return trainer


def outcome(trainer: Trainer) -> tuple[str, str]:
    """Return the digest of every tensor, and all the rest but for seconds."""
    note = trainer.state.note()
    for values in (note["place"], *note["epochs"]):
        values.update(dict.fromkeys({"seconds", "began"} & set(values), 0))
    return hashlib.sha256(save(trainer.state.tensors())).hexdigest(), json.dumps(note)


@cache
def uninterrupted(settings: FineTune, kind: str = "small") -> tuple[int, tuple[str, str]]:
    """Return how much happens in the training, and how it ends."""
    trainer = begun(settings, kind=kind)
    return len(list(trainer)), outcome(trainer)


def assert_goes_on(folder: Path, settings: FineTune, stop: int, kind: str = "small") -> None:
    """Stop after so many steps and validations, begin anew from the file, and compare the end."""
    first = begun(settings, kind=kind)
    events = iter(first)
    list(islice(events, stop))
    save_state(first, folder)
    second = resumed(begun(settings, kind=kind), folder)
    count = len(list(second))
    assert (stop + count, outcome(second)) == uninterrupted(settings, kind)


@pytest.mark.long
@pytest.mark.parametrize(("batch_norm", "every"), [("frozen", 1), ("live", 3)])
def test_a_training_stopped_anywhere_ends_in_the_same_bits(
    tmp_path: Path, batch_norm: Any, every: int
) -> None:
    settings = replace(RANDOM, batch_norm=batch_norm)
    count, _ = uninterrupted(settings)
    assert count == 1 + 4 * (3 + 1)  # the start; four passes of three steps and a validation
    for stop in range(0, count + 1, every):
        assert_goes_on(tmp_path / str(stop), settings, stop)


def test_a_training_that_ends_early_does_so_wherever_it_was_stopped(tmp_path: Path) -> None:
    settings = replace(RANDOM, patience=1, stages=(Stage(rate=1.0, part="head"), Stage(rate=0.5)))
    count, (_, note) = uninterrupted(settings)
    assert count < 1 + 16 * 4
    assert [one["stage"] for one in json.loads(note)["epochs"]].count(1) < 8
    for stop in range(count + 1):
        assert_goes_on(tmp_path / str(stop), settings, stop)


@pytest.mark.parametrize("stop", [2, 8, 15])
def test_a_network_of_timm_goes_on_as_well(tmp_path: Path, stop: int) -> None:
    assert_goes_on(tmp_path, RANDOM, stop, "test_efficientnet")


def test_short_memory_is_remembered(tmp_path: Path) -> None:
    first = begun(RANDOM)
    first.state.place.parts = 2
    save_state(first, tmp_path)
    assert resumed(begun(RANDOM), tmp_path).state.place.parts == 2


# Killed, and saved on a disk that fails


def lasting(kills: int) -> FineTune:
    """Return settings of a training long enough to be killed so often."""
    stages = (Stage(part="last-block", epochs=4), Stage(epochs=12 + kills // 2))
    return replace(RANDOM, stages=stages, patience=999)


def say(*lines: object) -> None:
    """Tell the test, at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def train_on(folder: Path, settings: FineTune) -> None:
    """Train to the end from where the last process was killed, saving after every step."""
    say(os.getpid())
    trainer = resumed(begun(settings), folder)
    for _ in trainer:
        save_state(trainer, folder)
        say("saved")
    say("end", *outcome(trainer))


def nursery(folder: Path, settings: FineTune) -> None:
    """Start a process that trains for each line that is read; forking spares it torch's import."""
    torch.set_num_threads(1)
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            train_on(folder, settings)
            os._exit(0)
        os.waitpid(child, 0)
        say("over")


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.parametrize("kills", at_figure(5, 200))
def test_a_training_killed_again_and_again_ends_in_the_same_bits(
    tmp_path: Path, kills: int
) -> None:
    code = f"import test_finetuning_checkpoint as it, pathlib; it.nursery(pathlib.Path({str(tmp_path)!r}), it.lasting({kills}))"  # noqa: E501
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    chance, done = random.Random(7), 0
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(kills):
            process.stdin.write("one more\n")
            child = int(process.stdout.readline())
            for _ in range(chance.choice([0, 1, 2])):
                assert process.stdout.readline() == "saved\n"
                done += 1
            time.sleep(chance.uniform(0, 0.03))  # somewhere in a step, or while it is written
            os.kill(child, signal.SIGKILL)
            while (line := process.stdout.readline()) != "over\n":
                assert line == "saved\n"  # and not at its end
                done += 1
        process.stdin.write("the last\n")
        process.stdin.close()
        lines = process.stdout.read().splitlines()[1:-1]
    count, wanted = uninterrupted(lasting(kills))
    end = lines.index("end")
    assert tuple(lines[end + 1 :]) == wanted
    assert count - done - kills - 1 <= end <= count - done  # killed after saving, before saying so
    assert done > 0


class Faults:
    """A disk whose call number ``at`` fails, of those by which a file is made, or the process dies.

    ``error`` is an errno; None kills.
    """

    CALLS = ("open", "fsync", "chmod", "replace", "unlink", "close", "mkdir")

    def __init__(self, patch: pytest.MonkeyPatch, at: int, error: int | None) -> None:
        self.calls, self.at, self.error = 0, at, error
        for name in self.CALLS:
            patch.setattr(os, name, self.failing(getattr(os, name)))
        make = os.fdopen
        patch.setattr(os, "fdopen", lambda *args, **options: self.file(make(*args, **options)))

    def failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.at:
                if self.error is None:
                    os._exit(9)
                raise OSError(self.error, os.strerror(self.error))
            return call(*args, **options)

        return counted

    def file(self, opened: Any) -> Any:
        faults = self

        class File:
            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                opened.close()

            def __getattr__(self, name: str) -> Any:
                value = getattr(opened, name)
                return faults.failing(value) if name in {"write", "flush"} else value

        return File()


def calls_of_a_save(folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, 0, None)
        saved(folder, 1)
    return faults.calls


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="forks")
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EINTR, None])
def test_whichever_call_of_a_save_fails_the_old_or_the_new_checkpoint_is_there(
    tmp_path: Path, error: int | None
) -> None:
    count = calls_of_a_save(saved(tmp_path / "count", 2))
    assert count >= 20
    for at in range(1, count + 1):
        folder = saved(tmp_path / str(at), 2)
        child = os.fork()
        if not child:
            with pytest.MonkeyPatch.context() as patch:
                Faults(patch, at, error)
                try:
                    save_checkpoint(folder, TENSORS, {**NOTE, "number": 0}, of=OF)
                finally:
                    os._exit(0)
        os.waitpid(child, 0)
        kept = load_checkpoint(folder, of=OF)
        assert kept is not None
        assert kept[1]["number"] in {2, 0}, at
        assert error is None or not list(folder.glob(".*")), at
        age(folder, seconds=3600)
        saved(folder, 1)
        assert newest(folder) == 1
        assert not list(folder.glob(".*"))  # what a killed one left went with the next save
        assert len(list(folder.iterdir())) <= 5  # a half that a kill left, at most


INJECTED = """
import sys
from pathlib import Path
from fursure.files import replacing
for name in ("1.safetensors", "1.json"):
    with replacing(Path(sys.argv[1]) / name) as file:
        file.write(b"new" * 9000)
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "error=EINTR", "signal=KILL"])
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "chmod", "unlink"])
def test_whichever_system_call_fails_a_file_is_the_old_or_the_new_one(
    tmp_path: Path, call: str, fault: str
) -> None:
    names = ("1.safetensors", "1.json")
    if (strace := shutil.which("strace")) is None:
        pytest.skip("no strace to fail system calls with")
    for at in range(1, 5):
        for name in names:
            (tmp_path / name).write_bytes(b"old")
        subprocess.run(
            [strace, "-o", str(tmp_path.with_suffix(".log")),
             "-e", f"inject={call}:{fault}:when={at}", sys.executable,
             "-c", INJECTED, str(tmp_path)],
            capture_output=True, check=False,
        )  # fmt: skip
        for name in names:
            assert (tmp_path / name).read_bytes() in {b"old", b"new" * 9000}
        assert "KILL" in fault or call == "unlink" or not list(tmp_path.glob(".*"))
        age(tmp_path, seconds=3600)
        with replacing(tmp_path / "other") as file:
            file.write(b"")
        assert not list(tmp_path.glob(".*"))


FULL_DISK = """
import json, os, sys
from pathlib import Path
import numpy as np
import torch
from fursure.finetuning.checkpoint import load_checkpoint, save_checkpoint
disk, levels = Path(sys.argv[1]), int(sys.argv[2])
tensors = {"weight": torch.zeros(100_000)}
save_checkpoint(disk / "state", tensors, {"number": 1}, of={})
for level in range(levels):
    (disk / "filler").unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - 400_000 * level // levels // 4096 * 4096))
    try:
        save_checkpoint(disk / "state", tensors, {"number": 2}, of={})
        words = ""
    except OSError as error:
        words = f"{error.filename}: {error.strerror}"
    kept = load_checkpoint(disk / "state", of={})
    print(json.dumps([words, kept and kept[1]["number"], len(list((disk / "state").glob(".*")))]))
"""


@pytest.mark.parametrize("levels", at_figure(2, 20))
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk of its own")
def test_a_disk_that_is_full_at_any_level_keeps_the_last_checkpoint_and_says_what_it_needs(
    tmp_path: Path, levels: int
) -> None:
    rows = on_a_small_disk(FULL_DISK, tmp_path, levels)
    assert len(rows) == levels
    for words, number, left in map(json.loads, rows):
        assert "2.safetensors: No space left on device; it needs 400," in words
        assert (number, left) == (1, 0)
