"""A cluster that cannot be had is refused in a sentence, before any work."""

import socket
import sys
from importlib.metadata import version

import pytest
from console import fursure

from fursure.cluster.joining import check_nodes
from fursure.errors import ClusterFailed


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, trained: object) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = fursure("predict", __file__, "--on", "ray")
    assert done.returncode == 1
    assert "--on ray needs the extra 'ray'; run: pip install 'fursure[ray]'" in done.stderr


def test_another_word_than_ray_is_a_mistake() -> None:
    done = fursure("predict", __file__, "--on", "spark")
    assert done.returncode == 2
    assert "'spark' is no cluster; write ray, or ray://HOST:PORT" in done.stderr


def test_an_address_at_which_nobody_answers_is_refused_at_once() -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # free again, and nobody's, once it is closed
    for address, env in (
        (f"ray://127.0.0.1:{port}", {}),
        ("ray", {"RAY_ADDRESS": f"[::1]:{port}"}),
    ):
        done = fursure("predict", __file__, "--on", address, env=env)
        assert done.returncode == 1
        assert "nobody answers at" in done.stderr
        assert "`ray start --head`" in done.stderr
    done = fursure("predict", __file__, "--on", "ray://somewhere")
    assert "ray://somewhere is no address of a cluster; write ray://HOST:PORT." in done.stderr


def test_a_node_without_fursure_or_with_another_version_is_named() -> None:
    here = version("fursure")
    check_nodes({"a": here})
    with pytest.raises(ClusterFailed, match=r"the node b has no fursure, .* pip install 'fursure"):
        check_nodes({"a": here, "b": None})
    with pytest.raises(ClusterFailed, match=r"the node a has fursure 9\.9, and this machine has"):
        check_nodes({"a": "9.9"})
