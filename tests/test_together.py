"""Several processes train one network: the same curve, one command, and an end for all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from samples import draw_into

from fursure.bundle.bundle import Bundle
from fursure.errors import TeamFailed
from fursure.recipe import Recipe
from fursure.run import Run
from fursure.together.launch import Launched, launched
from fursure.training.processes import gathered

pytest.importorskip("torch")

import torch

from fursure.together.team import ALONE, Team, formed

TESTS = Path(__file__).parent
PATIENCE = 120  # seconds: a wait for ever fails its test
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--local-addr", "127.0.0.1")


def together(
    *command: str | Path, processes: int = 2, home: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run a program of Python in so many processes, as torchrun starts them."""
    launcher = (*TORCHRUN, "--standalone", "--nproc-per-node", str(processes))
    return subprocess.run(
        [*(launcher if processes > 1 else (sys.executable,)), *map(str, command)],
        env={
            **os.environ,
            "PYTHONPATH": str(TESTS),
            "FURSURE_HOME": str(home),
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def member(task: str, folder: Path, processes: int = 2) -> "subprocess.CompletedProcess[str]":
    return together(TESTS / "team_member.py", task, folder, processes=processes, home=folder)


# Who they are


def test_who_starts_one_process_is_alone() -> None:
    assert launched({}) == Launched()
    assert launched({"RANK": "1", "WORLD_SIZE": "2"}).size == 1  # nobody says where the first is


def test_torchrun_says_who_a_process_is_and_its_share_of_the_cores() -> None:
    mine = launched(
        {
            "RANK": "5",
            "WORLD_SIZE": "8",
            "LOCAL_RANK": "1",
            "LOCAL_WORLD_SIZE": "4",
            "MASTER_ADDR": "first",
            "MASTER_PORT": "29500",
        }
    )
    assert mine == Launched(rank=5, size=8, local_rank=1, local_size=4)
    assert [mine.cores(allowed) for allowed in (16, 6, 2)] == [4, 1, 1]


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 100])
def test_shares_are_every_row_once_and_in_order(rows: int) -> None:
    shares = [Team(launched=Launched(rank=rank, size=3)).share(rows) for rank in range(3)]
    assert [row for share in shares for row in range(rows)[share]] == list(range(rows))
    sizes = [len(range(rows)[share]) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_one_process_adds_nothing_to_what_it_has() -> None:
    gradient = torch.tensor([1.0, 2.0])
    ALONE.add([gradient])
    assert gradient.tolist() == [1, 2]
    assert ALONE.agreed(3.5) == 3.5
    assert ALONE.hand_out("work") == "work"


@pytest.mark.parametrize("rank", [0, 1])
def test_where_no_network_trains_one_works_and_says_so(
    rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    variables = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "-", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with gathered("photos", Recipe(), Run(say=told.append)) as works:
        assert works is (rank == 0)
    assert len(told) == (rank == 0)
    assert all("2 processes were started, and one works" in sentence for sentence in told)


def test_more_processes_than_gpus_are_refused_before_they_meet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    words = r"4 processes were started on a host with 1 GPU, .* --nproc-per-node 1\."
    mine = Launched(rank=3, size=4, local_rank=3, local_size=4)
    with pytest.raises(TeamFailed, match=words), formed(mine):
        pytest.fail("they met")


# What they learn


def gap(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.long
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    for processes in (1, 2):
        done = member("curves", tmp_path, processes)
        assert done.returncode == 0, done.stderr
    alone, first, second = (
        json.loads((tmp_path / f"curves {which}.json").read_text())
        for which in ("0 of 1", "0 of 2", "1 of 2")
    )
    for kind in ("frozen", "live"):
        assert len(alone[kind]["losses"]) == 4 * 4  # four passes of four batches
        assert gap(alone[kind]["losses"], first[kind]["losses"]) < 1e-4
        assert first[kind]["losses"] == second[kind]["losses"]
        for name in ("train_loss", "val_loss", "val_accuracy"):
            curves = [[epoch[name] for epoch in run[kind]["epochs"][1:]] for run in (alone, first)]
            assert gap(*curves) < 1e-4
    assert alone["frozen"]["losses"] != alone["live"]["losses"]
    timed = [run["timed"]["epochs"] for run in (first, second)]  # one clock ends both
    assert [one["seconds"] for one in timed[0]] == [one["seconds"] for one in timed[1]]


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_killed_process_ends_the_others_in_a_sentence_and_any_number_goes_on(
    tmp_path: Path,
) -> None:
    whole = member("goes-on", tmp_path / "whole", processes=1)
    assert whole.returncode == 0, whole.stderr
    done = member("dies", tmp_path / "killed")
    assert done.returncode
    assert "process 1: another process of this training ended, or was not heard of" in done.stderr
    assert "the same command goes on from the last checkpoint" in done.stderr
    done = member("goes-on", tmp_path / "killed", processes=1)
    assert done.returncode == 0, done.stderr
    curves = [
        [float(line) for line in (tmp_path / name / "losses.txt").read_text().split()]
        for name in ("whole", "killed")
    ]
    assert gap(*curves) < 1e-4


@pytest.mark.long
def test_a_process_that_is_not_heard_of_ends_the_others_in_a_sentence(tmp_path: Path) -> None:
    done = member("silent", tmp_path)
    assert done.returncode
    assert "process 1: another process of this training ended, or was not heard of" in done.stderr


# The command

RECIPE = """
name = "tiny"
backbone = "scratch:cnn"
image_size = 64
cross_validate_below = 0
[tune]
start = "random"
batch = 8
ema = 0.0
precision = "fp32"
[[tune.stages]]
epochs = 2
rate = 1e-3
"""


def figures(model: Path) -> dict[str, Any]:
    return json.loads(model.with_suffix(".metrics.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.long
def test_the_command_under_torchrun_writes_one_model_and_speaks_with_one_voice(
    tmp_path: Path,
) -> None:
    photos = draw_into(tmp_path / "photos", count=24)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    ends = []
    for processes in (1, 2):
        model = tmp_path / f"by-{processes}.fursure"
        command = ("-m", "fursure", "train", photos, "--recipe", tmp_path / "tiny.toml")
        done = together(
            *command, "-o", model, processes=processes, home=tmp_path / f"home {processes}"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(str(model)) == 1
        assert done.stderr.count("stage 1, pass 1:") == 1
        assert list(Bundle.read(model).meta.labels) == ["cat", "dog"]
        assert not list((tmp_path / f"home {processes}" / "training").iterdir())
        ends.append(figures(model)["epochs"])
    for one, two in zip(*ends, strict=True):
        assert one["val_loss"] == pytest.approx(two["val_loss"], abs=1e-4)
    again = together(*command, "-o", model, home=tmp_path / "home 2")
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stderr


@pytest.mark.long
def test_a_batch_too_small_to_share_is_refused_in_a_sentence(tmp_path: Path) -> None:
    photos = draw_into(tmp_path / "photos", count=24)
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("batch = 8", "batch = 1"))
    command = ("-m", "fursure", "train", photos, "--recipe", tmp_path / "tiny.toml")
    done = together(*command, "-o", tmp_path / "m.fursure", home=tmp_path / "home")
    assert done.returncode
    assert done.stderr.count("a batch has 1 photos, too few for 2 processes to share") == 1
