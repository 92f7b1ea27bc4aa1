"""Which settings hold on this machine, as `fursure doctor` tells them."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from console import fursure

from fursure.cli import COMMANDS, SYNONYMS
from fursure.commands import doctor
from fursure.commands.doctor import SETTINGS

PACKAGE = Path(doctor.__file__).parents[1]
OTHERS = {  # set by a system, a launcher or ourselves; nobody's settings
    "TERM", "COLUMNS", "LOCALAPPDATA", "ORT_DISABLE_TELEMETRY", "MLFLOW_ALLOW_FILE_STORE",
    "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE",
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
}  # fmt: skip


def settings(environment: Mapping[str, str]) -> list[str]:
    found = [finding.found for finding in doctor._settings(environment)]
    return found[1:]  # the first says what decides where nothing is set


def test_every_variable_that_is_read_is_told_by_the_doctor() -> None:
    lines = [
        line
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "environ" in line and path.name != "doctor.py"
    ]
    read = {name for line in lines for name in re.findall(r'"([A-Z][A-Z_]{3,})"', line)}
    assert read >= {"FURSURE_HOME", "RAY_ADDRESS", "NO_COLOR"}
    assert not read - SETTINGS.keys() - OTHERS


def test_what_is_set_is_told_with_what_it_does_and_what_is_not_set_is_not() -> None:
    found = settings({"FURSURE_OFFLINE": "1", "NO_COLOR": "", "PATH": "/bin"})
    assert found == ["FURSURE_OFFLINE=1: forbids the network unless it is 0"]


def test_secrets_are_not_printed() -> None:
    found = settings({"HF_TOKEN": "hf_abc", "MLFLOW_TRACKING_URI": "https://me:pw@host/x"})
    assert "abc" not in found[0]
    assert found[1].startswith("MLFLOW_TRACKING_URI=https://…@host/x: ")


@pytest.mark.parametrize(
    "value", ["https://me:s@cr@host/x", "https://me:s/cr@host/x", "https://host/x?key=s3cr"]
)
def test_a_secret_with_signs_of_an_address_in_it_or_in_the_query_is_not_printed(value: str) -> None:
    (line,) = settings({"HF_ENDPOINT": value})
    assert "host/x" in line
    assert "cr" not in line.partition(": ")[0]


def test_a_path_is_printed_as_it_is() -> None:
    (line,) = settings({"FURSURE_HOME": "/data/what?/me@home"})
    assert line.startswith("FURSURE_HOME=/data/what?/me@home: ")


def test_it_says_why_the_caches_lie_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    assert f"{tmp_path / 'home'} (FURSURE_HOME), " in doctor._caches().found
    monkeypatch.delenv("FURSURE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "(the default; FURSURE_HOME moves it), " in doctor._caches().found
    assert "GB free" in doctor._caches().found


def test_what_other_tools_call_a_command_is_understood() -> None:
    assert {*SYNONYMS.values()} <= COMMANDS.keys()
    run = fursure("config", "show")
    assert run.returncode == 2
    assert "No such command 'config'. Did you mean 'doctor'?" in run.stderr
