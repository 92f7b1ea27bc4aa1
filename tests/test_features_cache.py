import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fursure.errors import CacheUnusable
from fursure.features.cache import FACTS, FINGERPRINTS, VECTORS, DiskCache
from fursure.splitting.scanned import Fingerprint

A, B = "aa" * 32, "bb" * 32


def stored(cache: DiskCache[Any]) -> list[str]:
    """Return the digests of all that the file holds, whole or not."""
    return [row[0].hex() for row in cache._run("SELECT digest FROM entry")]


def test_a_vector_comes_back_in_half_precision(tmp_path: Path) -> None:
    vector = np.random.default_rng(0).normal(size=480).astype(np.float32)
    with closing(DiskCache(tmp_path / "f.sqlite", VECTORS)) as cache:
        cache.update({A: vector})
    with closing(DiskCache(tmp_path / "f.sqlite", VECTORS)) as again:
        held = again.many([A, B])
    assert held.keys() == {A}
    assert np.array_equal(held[A], vector.astype(np.float16).astype(np.float32))


def test_a_fingerprint_comes_back_whole(tmp_path: Path) -> None:
    found = Fingerprint(12_000, 9_000, bytes(range(112)))
    with closing(DiskCache(tmp_path / "f.sqlite", FINGERPRINTS)) as cache:
        cache.update({A: found})
        assert cache.many([A]) == {A: found}


@pytest.mark.parametrize("kept", [0, 1, 126])
def test_a_vector_cut_short_is_not_there(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "f.sqlite"
    digests = [f"{number:064x}" for number in range(3)]
    with closing(DiskCache(path, VECTORS)) as cache:
        cache.update(dict.fromkeys(digests, np.ones(64, np.float32)))
        cache._run(
            "UPDATE entry SET value = substr(value, 1, ?) WHERE digest = ?",
            (kept, bytes.fromhex(digests[1])),
        )
    with closing(DiskCache(path, VECTORS)) as cache:
        assert cache.many(digests).keys() == {digests[0], digests[2]}
        cache.update({digests[1]: np.ones(64, np.float32)})  # computed anew
        assert cache.many(digests).keys() == set(digests)


def test_a_damaged_fingerprint_or_fact_is_not_there(tmp_path: Path) -> None:
    for codec, damage in ((FINGERPRINTS, b"short"), (FACTS, b"short"), (VECTORS, b"odd")):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite"
        with closing(DiskCache(path, codec)) as cache:
            cache._run("INSERT INTO entry VALUES (?, ?)", (bytes.fromhex(A), damage))
        with closing(DiskCache(path, codec)) as cache:
            assert cache.many([A]) == {}


def test_an_update_stores_all_or_nothing(tmp_path: Path) -> None:
    with closing(DiskCache(tmp_path / "f.sqlite", VECTORS)) as cache:
        with pytest.raises(ValueError, match="hex"):
            cache.update({A: np.zeros(2, np.float32), "not hex": np.zeros(2, np.float32)})
        assert stored(cache) == []


def test_what_is_no_cache_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    path.write_bytes(b"this is text, not a database" * 100)
    with pytest.raises(CacheUnusable, match=r"f\.sqlite.*fursure cache clear"):
        DiskCache(path, VECTORS)


WRITER = """
    import sys, numpy as np
    from pathlib import Path
    from fursure.features.cache import DiskCache, VECTORS
    cache = DiskCache(Path(sys.argv[1]), VECTORS)
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        cache.update({f"{number * 8 + k:064x}": np.full(64, k, np.float32) for k in range(8)})
        print(number, flush=True)
"""


def writer(path: Path, first: int, last: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_at_once_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    writers = [writer(path, 0, 100), writer(path, 100, 200)]
    assert [one.wait(60) for one in writers if one.communicate()] == [0, 0]
    with closing(DiskCache(path, VECTORS)) as cache:
        assert len(stored(cache)) == 1600


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    process = writer(path, 0, 100_000)
    assert process.stdout is not None
    last = [process.stdout.readline() for _ in range(50)][-1]
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with closing(DiskCache(path, VECTORS)) as cache:
        digests = stored(cache)
        assert len(digests) % 8 == 0
        assert len(digests) >= (int(last) + 1) * 8
        held = cache.many(digests)
        assert held.keys() == set(digests)
        assert all(vector.shape == (64,) for vector in held.values())


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes the POSIX way")
def test_a_full_disk_is_said_in_a_sentence_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    with closing(DiskCache(path, VECTORS)) as cache:
        cache.update({A: np.ones(1000, np.float32)})
    code = f"""
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from fursure.errors import CacheUnusable
        from fursure.features.cache import DiskCache, VECTORS
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        cache = DiskCache(Path({str(path)!r}), VECTORS)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            for number in range(10_000):
                cache.update({{f"{{number:064x}}": np.ones(1000, np.float32)}})
        except CacheUnusable as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "f.sqlite cannot be used" in run.stdout
    assert "free some space" in run.stdout
    with closing(DiskCache(path, VECTORS)) as cache:
        assert np.array_equal(cache.many([A])[A], np.ones(1000, np.float32))
