import time
from pathlib import Path
from threading import Thread

import pytest
from console import fursure

from fursure.stages import recorded, stage


def named(lines: list[str]) -> list[str]:
    return [line[:14].rstrip() for line in lines]


def test_stages_come_in_the_order_of_a_run_with_their_parts_inside() -> None:
    with recorded() as times:
        with stage("page"):
            pass
        with stage("photos", 10), stage("decode", 10), stage("network", 10):
            pass
    assert named(times.table()[1:]) == [
        "start",
        "photos",
        "  decode",
        "  network",
        "page",
        "the rest",
    ]


def test_parts_are_counted_only_while_photos_are_read() -> None:
    """A report page runs the network too; that is the page's time."""
    with recorded() as times, stage("page"), stage("network", 4):
        pass
    assert "network" not in times.spent


def test_threads_add_up() -> None:
    def work() -> None:
        with stage("decode", 3):
            time.sleep(0.02)

    with recorded() as times, stage("photos", 6):
        threads = [Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert times.spent["decode"].photos == 6
    assert times.spent["decode"].seconds >= 0.04
    assert times.spent["photos"].seconds < times.spent["decode"].seconds * 2


def test_nothing_is_kept_where_nobody_records() -> None:
    with recorded() as times:
        pass
    with stage("fit"):
        pass
    assert set(times.spent) == {"start"}


def test_a_stage_that_fails_is_counted() -> None:
    with recorded() as times, pytest.raises(ValueError, match="broken"), stage("fit"):
        raise ValueError("broken")
    assert times.spent["fit"].seconds > 0


def test_predict_says_where_the_time_went(drawings: Path) -> None:
    photo = next(drawings.rglob("*.jpg"))
    run = fursure("predict", "-v", photo)
    told = run.stderr.splitlines()
    where = next(row for row, line in enumerate(told) if line.startswith("where "))
    assert named(told[where + 1 :]) == [
        "start", "photos", "  read", "  decode", "  resize", "  network", "  answer", "the rest",
    ]  # fmt: skip
    assert "where " not in fursure("predict", photo).stderr


@pytest.mark.long
def test_train_and_check_say_where_the_time_went(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    told = fursure("train", "-v", drawings, "-o", tmp_path / "m.fursure").stderr
    for name in [
        "start",
        "list",
        "photos",
        "read",
        "decode",
        "fingerprint",
        "resize",
        "network",
        "cache",
        "group",
    ]:
        assert f"\n{name} " in told or f"\n  {name} " in told
    for name in ["fit", "proof", "write", "page"]:
        assert f"\n{name} " in told
    assert "\nphotos " in fursure("check", "-v", drawings).stderr
