"""Who types what the documents say: a desk of drawn photos, and a home that holds nothing."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from samples import draw_into

from fursure.drawings.draw import draw, jpeg

PHOTOS = (
    "cat.jpg", "dog.jpg", "caged.jpg", "wolf.jpg", "pizza.jpg",
    "ANOTHER.jpg", "PHOTO.jpg", "photo.jpg", "one.jpg", "a.jpg", "b.jpg",
)  # fmt: skip

PATIENCE = 600  # seconds: a command that never ends fails its test instead of all of them


def furnished(desk: Path) -> Path:
    """Fill a folder with drawings under every name that the documentation speaks of."""
    for name, count, first in (("PHOTOS", 40, 0), ("OTHER_PHOTOS", 12, 500)):
        draw_into(desk / name, count=count, first=first)
        shutil.copytree(desk / name, desk / name.lower().replace("_", "-"))
    (desk / "STRANGERS").mkdir()
    for number in range(24):
        data = jpeg(draw("stranger", number, size=96))
        (desk / "STRANGERS" / f"{number}.jpg").write_bytes(data)
    shutil.copytree(desk / "PHOTOS" / "cat", desk / "FOLDER")
    with zipfile.ZipFile(desk / "train.zip", "w") as archive:  # flat, as Kaggle has it
        for path in sorted((desk / "PHOTOS").rglob("*.jpg")):
            archive.write(path, f"train/{path.name}")
    with zipfile.ZipFile(desk / "test.zip", "w") as archive:
        for number, path in enumerate(sorted((desk / "OTHER_PHOTOS").rglob("*.jpg")), 1):
            archive.write(path, f"test/{number}.jpg")
    ids = "".join(f"{number},0.5\n" for number in range(1, 25))
    (desk / "sampleSubmission.csv").write_text(f"id,label\n{ids}")
    (desk / "corrections.csv").write_text("path,verdict,label\ncat/cat.3.jpg,drop,\n")
    for number, name in enumerate(PHOTOS):
        (desk / name).write_bytes(jpeg(draw("cat" if number % 2 else "dog", 900 + number)))
    return desk


def run(line: str, desk: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run one command as a newcomer does, in a home that holds nothing."""
    scripts = str(Path(sys.executable).parent)
    environment = {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "FURSURE_OFFLINE": "1",
    }
    return subprocess.run(
        ["sh", "-c", line],  # noqa: S607
        cwd=desk,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
