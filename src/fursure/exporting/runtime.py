"""onnxruntime-web, which runs a network in a browser: from npm's folders here, or by a pinned link.

Its files are copied into the page's folder; ours hold none of it. A link brings the digest of what
it leads to, so that a browser takes nothing else.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fursure.errors import BadRuntime

PACKAGE = "onnxruntime-web"
PINNED = "1.30.0"  # what the tests prove; other versions of the same minor number are taken
_MODULE, _WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"  # in its folder dist
RUNTIME_DIGESTS = {  # sha384 of the pinned version's files
    _MODULE: "PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    _WASM: "vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}
_ADDRESS = f"https://cdn.jsdelivr.net/npm/{PACKAGE}@{PINNED}/dist/"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRuntime:
    """Where the page finds what runs its network."""

    module: str  # address of the JavaScript, relative to the page or absolute
    wasm: str
    integrity: Mapping[str, str] = field(default_factory=dict)  # of each address; empty: our files
    files: Mapping[str, bytes] = field(default_factory=dict)  # to put beside the page
    source: str  # in words


OWN_CODE = WebRuntime(module="", wasm="", source="code of its own, without onnxruntime-web")


def web_runtime(given: Path | None) -> WebRuntime:
    """Return the runtime in the folder ``given``, else in one of npm's here, else by a link.

    Raises:
        BadRuntime: the folder given holds none, or another version.
    """
    if given is not None:
        return _copied(_package_in(given))
    for folder in _npm_folders():
        try:
            return _copied(_package_in(folder / PACKAGE))
        except BadRuntime:  # another version, for other work
            continue
    integrity = {_ADDRESS + name: f"sha384-{digest}" for name, digest in RUNTIME_DIGESTS.items()}
    return WebRuntime(
        module=_ADDRESS + _MODULE,
        wasm=_ADDRESS + _WASM,
        integrity=integrity,
        source=f"{PACKAGE} {PINNED} by a link to cdn.jsdelivr.net, with its digests",
    )


def _npm_folders() -> Iterator[Path]:
    """Yield where npm puts packages: of this folder and those above it, and of all users."""
    here = Path.cwd()
    yield from (folder / "node_modules" for folder in (here, *here.parents))
    yield from map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))
    if npm := shutil.which("npm"):
        yield Path(npm).parent.parent / "lib" / "node_modules"
        yield Path(npm).parent / "node_modules"  # Windows


def _package_in(folder: Path) -> Path:
    """Return the package's own folder, of which ``folder`` may be a part or what holds it.

    Raises:
        BadRuntime: there is none, or it is another version.
    """
    places = (folder, folder.parent, folder / PACKAGE, folder / "node_modules" / PACKAGE)
    for place in places:
        try:
            facts = json.loads((place / "package.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(facts, dict) and facts.get("name") == PACKAGE:
            version = str(facts.get("version"))
            if version.split(".")[:2] != PINNED.split(".")[:2]:
                raise BadRuntime(folder, f"{PACKAGE} {version[:40]}", PINNED)
            return place
    raise BadRuntime(folder, f"no {PACKAGE}", PINNED)


def _copied(package: Path) -> WebRuntime:
    try:
        files = {
            "runtime/ort.js": (package / "dist" / _MODULE).read_bytes(),
            "runtime/ort.wasm": (package / "dist" / _WASM).read_bytes(),
        }
    except OSError as error:
        raise BadRuntime(package, f"no {error.filename}", PINNED) from error
    return WebRuntime(
        module="./runtime/ort.js",
        wasm="runtime/ort.wasm",
        files=files,
        source=f"{PACKAGE} from {package}",
    )
