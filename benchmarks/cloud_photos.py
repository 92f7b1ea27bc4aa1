"""Photos a second from S3 servers on loopback, against the same photos as local files.

    python -m benchmarks.cloud_photos FOLDER_OR_ZIP --photos 2000

A server runs on the same cores, as a process of its own, so what it takes is lost to the photos.
moto takes more than any real one would; `benchmarks.object_server` is nearer to one far away.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from fursure.dataset.layout import iter_photos
from fursure.dataset.sources import open_source

BUCKET = "bench"
LIMIT = 64 << 20  # bytes of a photo
_SIGNED_IN = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def main() -> None:
    """Print photos a second from files, from objects, and from a zip in the bucket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos_in", type=Path)
    parser.add_argument("--photos", type=int, default=2000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        count = _copied(asked.photos_in, folder, asked.photos)
        packed = Path(scratch) / "photos.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
        local = _rate(str(folder), count, {})
        print(f"local files   {local:7.1f} photos/s")
        _from_a_cheap_server(Path(scratch), count, local)
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "5055"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            environment = _filled(folder, packed)
            for name in ("photos", "photos.zip"):
                rate = _rate(f"s3://{BUCKET}/{name}", count, environment)
                print(f"moto {name:10} {rate:7.1f} photos/s, {rate / local:.0%} of local")
        finally:
            server.terminate()
            server.wait()


def _from_a_cheap_server(scratch: Path, count: int, local: float) -> None:
    command = [sys.executable, "-m", "benchmarks.object_server", str(scratch), "5056"]
    server = subprocess.Popen(command)
    try:
        time.sleep(2)
        for name in ("photos", "photos.zip"):
            environment = _SIGNED_IN | {"AWS_ENDPOINT_URL": "http://127.0.0.1:5056"}
            rate = _rate(f"s3://{BUCKET}/{name}", count, environment)
            print(f"cheap {name:10} {rate:7.1f} photos/s, {rate / local:.0%} of local")
    finally:
        server.terminate()
        server.wait()


def _copied(origin: Path, folder: Path, most: int) -> int:
    folder.mkdir()
    count = 0
    with open_source(origin) as source:
        for name in iter_photos(source):
            (folder / f"{count:06}.jpg").write_bytes(source.read(name, LIMIT))
            count += 1
            if count == most:
                break
    return count


def _filled(folder: Path, packed: Path) -> dict[str, str]:
    """Put everything into the bucket; return how it is found."""
    import boto3

    endpoint = "http://127.0.0.1:5055"
    environment = _SIGNED_IN | {"AWS_ENDPOINT_URL": endpoint}
    os.environ |= environment
    time.sleep(5)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(folder.iterdir()):
        client.put_object(Bucket=BUCKET, Key=f"photos/{path.name}", Body=path.read_bytes())
    client.put_object(Bucket=BUCKET, Key="photos.zip", Body=packed.read_bytes())
    return environment


def _rate(photos: str, count: int, environment: dict[str, str]) -> float:
    """Return photos a second of one `fursure predict` in a fresh process."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "fursure", "predict", photos, "-q"]
        began = time.monotonic()
        subprocess.run(
            [*command, "--csv", f"{scratch}/rows.csv"], check=True, env=os.environ | environment
        )
        seconds = time.monotonic() - began
        rows = len(Path(scratch, "rows.csv").read_text().splitlines()) - 1
        assert rows == count, f"{rows} rows of {count} photos"
    return count / seconds


if __name__ == "__main__":
    main()
