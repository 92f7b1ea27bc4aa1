"""A model → a folder of static files: a page that answers in the browser, and proves it there.

The page decodes and resizes by its own hand, as fursure does, and goes the whole way with two
golden pictures before it answers anything.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from fursure.bundle.bundle import Bundle
from fursure.engine.parity import SAME
from fursure.engine.predictor import Predictor
from fursure.exporting.folder import filled_in
from fursure.exporting.runtime import WebRuntime
from fursure.photos.decode import decode
from fursure.sureness.familiarity import Familiar

WEB_FORMAT = 1  # of model.json; the page takes no other
_SHARED = ("cards.js", "style.css", "icon.svg")  # with the page of `fursure serve`
_TEMPLATES = ("index.html", "sw.js")
_COLOURS = {"background_color": "#faf8f3", "theme_color": "#b85a1e"}  # as style.css has them


def web_files(
    predictor: Predictor, runtime: WebRuntime, network: bytes, bound: float = SAME
) -> dict[str, bytes]:
    """Return the files of a page that runs ``network``, by their paths in its folder.

    A page answers where its golden probabilities are within ``bound`` of those of ``predictor``.
    """
    bundle = predictor.bundle
    golden = _golden(bundle)
    familiar, facts = familiar_file(bundle.familiar)
    made = {
        **_page(),
        **runtime.files,
        **golden,
        "model.onnx": network,
        "familiar.bin": familiar,
        "model.json": _json(
            {
                "format": WEB_FORMAT,
                **_facts(predictor),
                "runtime": _runtime(runtime),
                "familiar": facts,
                "bound": bound,
                "golden": [_answered(predictor, name, data) for name, data in golden.items()],
            }
        ),
        "manifest.webmanifest": _json(_manifest(bundle)),
    }
    return made | _filled(made, bundle, runtime)


def _page() -> dict[str, bytes]:
    own, shared = files("fursure.exporting") / "page", files("fursure.service") / "page"
    pages = {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()}
    return pages | {name: (shared / name).read_bytes() for name in _SHARED}


def _golden(bundle: Bundle) -> dict[str, bytes]:
    """Return the golden JPEG, and its pixels as a PNG: one for each way into the page."""
    photo = decode(bundle.golden.jpeg, name="golden", min_side=bundle.meta.preprocess.min_side)
    png = io.BytesIO()
    photo.image.save(png, "PNG", optimize=True)
    return {"golden.jpg": bundle.golden.jpeg, "golden.png": png.getvalue()}


def _answered(predictor: Predictor, name: str, data: bytes) -> dict[str, Any]:
    prediction = predictor.predict(data)
    return {
        "file": name,
        "answer": prediction.answer,
        "familiarity": prediction.familiarity,
        "probabilities": list(prediction.probabilities.values()),
    }


def _facts(predictor: Predictor) -> dict[str, Any]:
    meta = predictor.bundle.meta
    return {
        "name": meta.name,
        "labels": list(meta.labels),
        "threshold": predictor.threshold,
        "preprocess": meta.preprocess.to_json(),
        "min_side": meta.preprocess.min_side,
        "accuracy": meta.figures.get("accuracy"),
        "basis": meta.figures.get("basis"),
        "licence": meta.licence,
    }


def familiar_file(familiar: Familiar) -> tuple[bytes, dict[str, Any]]:
    """Return the arrays of familiarity in one file, and where each lies; no browser knows fp16."""
    arrays: dict[str, dict[str, Any]] = {}
    data = bytearray()
    for name, values in familiar.to_arrays().items():
        if values.ndim == 0:
            continue
        wide = values.astype(np.float32) if values.dtype == np.float16 else values
        data += bytes(-len(data) % 8)  # where JavaScript lets an array begin
        offset, kind = len(data), str(wide.dtype)
        arrays[name] = {"offset": offset, "shape": list(wide.shape), "type": kind}
        data += wide.astype(wide.dtype.newbyteorder("<")).tobytes()
    return bytes(data), {
        "k": familiar.k,
        "first": familiar.first,
        "threshold": familiar.threshold,
        "arrays": arrays,
    }


def _runtime(runtime: WebRuntime) -> dict[str, str] | None:
    """Return where the page finds its runtime, or None where its own code is all."""
    if not runtime.module:
        return None
    facts = {"module": runtime.module, "wasm": runtime.wasm}
    return facts | ({"integrity": runtime.integrity[runtime.wasm]} if runtime.integrity else {})


def _manifest(bundle: Bundle) -> dict[str, Any]:
    icons = [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}]
    name = bundle.meta.name
    return {
        "name": f"fursure · {name}",
        "short_name": name[:30],
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "icons": icons,
        **_COLOURS,
    }


def _filled(made: Mapping[str, bytes], bundle: Bundle, runtime: WebRuntime) -> dict[str, bytes]:
    """Return the templates with what depends on the model, and on all other files."""
    page = {
        "name": escape(bundle.meta.name),
        "policy": _policy(runtime),
        "runtime": _linked(runtime),
    }
    index = filled_in(made["index.html"], page)
    names = sorted(name for name in made if name not in _TEMPLATES)
    digest = hashlib.sha256(index + b"".join(made[name] for name in names)).hexdigest()[:16]
    kept = json.dumps(["./", *names, *runtime.integrity])
    return {
        "index.html": index,
        "sw.js": filled_in(made["sw.js"], {"version": digest, "files": kept}),
    }


def _policy(runtime: WebRuntime) -> str:
    """Return what the page may do: nothing goes anywhere but here, and to the runtime's link."""
    link = "".join(f" {address}" for address in runtime.integrity)
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'wasm-unsafe-eval'{link}",
            f"connect-src 'self'{link}",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "worker-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _linked(runtime: WebRuntime) -> str:
    """Return the tag that loads a runtime from elsewhere, with its digest."""
    if not runtime.integrity:
        return ""
    digest = runtime.integrity[runtime.module]
    return (
        f'<script src="{runtime.module}" type="module" integrity="{digest}" '
        'crossorigin="anonymous"></script>\n'
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
