"""MODEL.fursure → the encoder in it: one's own models are backbones too."""

from pathlib import Path

from fursure.backbones.backbone import Backbone, BackboneSpec
from fursure.bundle.bundle import Bundle
from fursure.errors import BadBackbone


def load_bundle(spec: BackboneSpec) -> Backbone | None:
    """Return the encoder of the bundle at that path; None: there is none.

    Raises:
        BadBackbone: it takes photos of another size, or its network is no valid one.
    """
    from fursure.engine.first_run import check_first_run
    from fursure.engine.parity import check_answers
    from fursure.engine.session import open_session
    from fursure.graphs.graph import encoder_of

    if not _is_bundle(spec.path):
        return None
    name, bundle, image_size = spec.path.name, Bundle.read(spec.path), spec.image_size
    if image_size not in {None, bundle.meta.preprocess.size}:
        raise BadBackbone(
            f"the encoder of {name} takes {bundle.meta.preprocess.size} px and no other size; "
            "leave --image-size out, or name the weights it was converted from."
        )
    if not bundle.shipped:
        check_first_run(bundle.model)
    check_answers(open_session(bundle.model, engine="onnxruntime"), bundle)
    try:
        encoder = encoder_of(bundle.model)
    except Exception as error:  # protobuf's, the checker's and UnicodeDecodeError
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BadBackbone(
            f"the network in {name} is no valid one ({reason}); train that model again."
        ) from error
    return Backbone(
        name=name,
        onnx=encoder,
        preprocess=bundle.meta.preprocess,
        licence=bundle.meta.licence,
        seen=bundle.encoder_seen,
    )


def seen_by(source: str) -> frozenset[int]:
    """Return the short digests of what the encoder was trained on; only bundles tell."""
    path = Path(source).expanduser()
    return Bundle.read(path).encoder_seen if _is_bundle(path) else frozenset()


def _is_bundle(path: Path) -> bool:
    return (path / "bundle.json").is_file() or (path.is_file() and path.suffix == ".fursure")
