"""Nodes of a Ray cluster on this machine, in a process of their own, which ends them all.

As a program it takes words on its standard input, `add`, `add FOLDER` or `kill`, and answers each
with a line. `FOLDER` goes on the PYTHONPATH of that node alone.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Nodes:
    """A head without cores, and nodes of two logical cores each."""

    def __init__(self, count: int = 2) -> None:
        self._folder = tempfile.mkdtemp(prefix="ray-")  # short: sockets lie in it
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.client_port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._folder, str(self.client_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            },
        )
        self.address = self._reply()
        for _ in range(count):
            self.tell("add")

    def tell(self, words: str) -> str:
        """Have nodes added or killed; return when that is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        return self._reply()

    def _reply(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the nodes did not start"
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()
        end_all(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)


def running(words: str) -> list[int]:
    """Return the processes that have ``words`` in their command line."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words.encode() in path.read_bytes() and int(path.parts[2]) != os.getpid():
                pids.append(int(path.parts[2]))
    return pids


def end_all(words: str) -> None:
    """Wait for processes that have ``words`` in their command line to end, or end them."""
    until = time.monotonic() + 15
    while (pids := running(words)) and time.monotonic() < until:
        time.sleep(0.2)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main(folder: str, client_port: str) -> None:

    from ray.cluster_utils import Cluster

    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints is no reply
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "node_ip_address": "127.0.0.1",
            "ray_client_server_port": int(client_port),
            "temp_dir": folder,
        },
    )
    print(cluster.address, file=said, flush=True)
    for line in sys.stdin:
        match line.split():
            case ["add", *path]:
                env = {"PYTHONPATH": path[0]} if path else None
                cluster.add_node(num_cpus=2, node_ip_address="127.0.0.1", env_vars=env)
            case ["kill"]:
                node = secrets.choice(list(cluster.worker_nodes))
                cluster.remove_node(node, allow_graceful=False)
        print("done", file=said, flush=True)
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(*sys.argv[1:])
