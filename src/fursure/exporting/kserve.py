"""A model → manifests for Kubernetes: our own service, and the network alone under KServe."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from fursure.exporting.examples import template
from fursure.exporting.folder import filled_in
from fursure.exporting.ported import Ported
from fursure.exporting.triton import plain_name, triton_files

_MOUNT = "            - {name: models, mountPath: /models, readOnly: true}\n"
_VOLUME = """\
        - name: models
          persistentVolumeClaim: {claimName: fursure-models, readOnly: true}
"""
_MANIFESTS = ("serve.yaml", "inferenceservice.yaml", "kserve.md")


def kserve_files(made: Ported, max_error: float | None = None) -> dict[str, bytes]:
    """Return a Deployment with all it needs, an InferenceService, and what both of them read."""
    bundle = made.predictor.bundle
    name = plain_name(bundle.meta.name)
    values = {
        "served": name,
        "model": "pets" if bundle.shipped else f"/models/{name}.fursure",
        "mount": "" if bundle.shipped else _MOUNT,  # pets is in the image
        "volume": "" if bundle.shipped else _VOLUME,
        "image": f"fursure:{version('fursure')}",
        "risk": "" if max_error is None else f', "--max-error", "{max_error}"',
    }
    serve, inference, readme = (filled_in(template(text), values) for text in _MANIFESTS)
    own = {} if bundle.shipped else {f"models/{name}.fursure": _whole(made)}
    return {
        "serve.yaml": serve,
        "inferenceservice.yaml": inference,
        "README.md": readme,
        **own,
        **{f"models/onnx/{path}": data for path, data in triton_files(made).items()},
    }


def _whole(made: Ported) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.fursure"
        made.predictor.bundle.write(path)
        return path.read_bytes()
