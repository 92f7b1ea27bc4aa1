"""The words after ``--on`` → a cluster of Ray, joined or started, its nodes looked at."""

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any

from fursure.errors import ClusterFailed, MissingExtra

_ANSWERS = 10.0  # seconds until an address counts as one where nobody answers
_STORE = 512 * 2**20  # bytes of shared memory of a cluster of our own: results on their way
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry, whoever else started the cluster
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of what a later version will do
}
_LOOPBACK = "127.0.0.1:"
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # on any system: 127.0.0.1, nobody else's


@contextmanager
def joined(on: str, cores: int) -> Iterator[Any]:
    """Yield Ray, connected to the cluster that ``on`` names; what was started here ends here.

    ``ray`` is the cluster of RAY_ADDRESS, else one of this machine's ``cores`` which only this
    machine can reach. A program that has joined a cluster itself keeps it.

    Raises:
        ClusterFailed: nobody answers there, or a node lacks this version of fursure.
        MissingExtra: Ray is not installed.
    """
    address = on if "://" in on else os.environ.get("RAY_ADDRESS") or None
    alone = address is None or _LOOPBACK in address  # else Ray would look for it elsewhere
    os.environ.update(
        _SETTINGS | (_ALONE if alone else {})
    )  # before Ray is imported: it reads them
    ray = _imported()
    if ray.is_initialized():
        check_nodes(_versions(ray))
        yield ray
        return
    with _quiet_signals(), _own_folder(address) as folder:
        try:
            _connect(ray, address, cores, folder)
            check_nodes(_versions(ray))
            yield ray
        finally:
            with suppress(Exception):  # a cluster that is gone cannot be left
                ray.shutdown()


def _imported() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it imports
            import ray
    except ImportError as error:
        raise MissingExtra("--on ray", "ray") from error
    return ray


@contextmanager
def _own_folder(address: str | None) -> Iterator[str | None]:
    """Yield a folder for the files of a cluster of our own, gone afterwards; None: it is others'.

    Its path is short, because sockets lie in it.
    """
    if address is not None:
        yield None
        return
    folder = tempfile.mkdtemp(prefix="fursure-ray-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Put back what SIGTERM did before Ray took it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _connect(ray: Any, address: str | None, cores: int, folder: str | None) -> None:
    """Join the cluster at ``address``, or start one in ``folder``."""
    if address is not None:
        _check_answers(address)
    own = {
        "num_cpus": cores,
        "include_dashboard": False,  # nor its port
        "object_store_memory": _STORE,
        "_temp_dir": folder,
    }
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                address="local" if address is None else address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **(own if address is None else {}),
            )
    except Exception as error:  # it raises its own types, and those of gRPC
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
        what = f"the cluster at {address} cannot be joined" if address else "Ray cannot be started"
        raise ClusterFailed(
            f"{what}: {reason}. It needs the same versions of Python and Ray as here."
        ) from error


def _check_answers(address: str) -> None:
    """Refuse an address at which nothing listens; Ray itself would try for a minute."""
    host, _, port = address.rpartition("://")[2].partition("?")[0].rpartition(":")
    if not host or not port.isdecimal():
        if "://" not in address:
            return  # "auto", "local": Ray's own words
        raise ClusterFailed(f"{address} is no address of a cluster; write ray://HOST:PORT.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS).close()
    except (OSError, OverflowError) as error:
        raise ClusterFailed(
            f"nobody answers at {address} ({error}); start the cluster's head with `ray start "
            "--head`, or name another address. A Ray client's port is 10001 unless told otherwise."
        ) from None


def _versions(ray: Any) -> dict[str, str | None]:
    """Return the version of fursure on each node, None where there is none."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def asked() -> str | None:  # sent by value: a node without fursure can run it
        from importlib import metadata

        try:
            return metadata.version("fursure")
        except metadata.PackageNotFoundError:
            return None

    task = ray.remote(num_cpus=0)(asked)
    pending = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            name = f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"
            pending[name] = task.options(scheduling_strategy=there).remote()
    versions = {}
    for name, ref in pending.items():
        with suppress(ray.exceptions.RayError):  # it died, or is too slow to matter
            versions[name] = ray.get(ref, timeout=_ANSWERS)
    return versions


def check_nodes(versions: Mapping[str, str | None]) -> None:
    """Refuse a cluster that would give other rows, before any work.

    Raises:
        ClusterFailed: a node lacks fursure, or has another version.
    """
    here = version("fursure")
    for node, there in versions.items():
        if there != here:
            found = f"fursure {there}" if there else "no fursure"
            raise ClusterFailed(
                f"the node {node} has {found}, and this machine has {here}; run there: "
                f"pip install 'fursure[ray]=={here}', or take the node out of the cluster."
            )
