"""`fursure export --to triton | kserve`: what they read is true to the graph and to our service."""

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import find_model
from fursure.cli.serve import serve_command
from fursure.commands.export import export_model
from fursure.errors import ExportFailed
from fursure.exporting.ported import Wishes
from fursure.exporting.triton import plain_name
from fursure.service.app import _protocol_v2
from fursure.service.metrics import Figures
from fursure.training.train import Trained

ROOT = Path(__file__).parents[1]
TYPES = {TensorProto.UINT8: "TYPE_UINT8", TensorProto.FLOAT: "TYPE_FP32"}


@pytest.fixture(scope="module")
def pets() -> Bundle:
    return find_model("pets")


@pytest.fixture(scope="module")
def cluster(pets: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(pets, "kserve", tmp_path_factory.mktemp("kserve") / "k").folder


def parsed_config(path: Path) -> Any:
    """Return Triton's configuration as its own schema reads it."""
    tritonclient = importlib.util.find_spec("tritonclient")
    if tritonclient is None or not tritonclient.submodule_search_locations:
        pytest.skip("no tritonclient, whose schema reads a config.pbtxt")
    place = Path(next(iter(tritonclient.submodule_search_locations))) / "grpc/model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", place)
    assert spec is not None
    assert spec.loader is not None
    schema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(schema)  # without tritonclient.grpc itself, which wants grpc
    text_format = importlib.import_module("google.protobuf.text_format")

    return text_format.Parse(path.read_text(), schema.ModelConfig())  # unknown fields raise


def check_config(folder: Path, *, most: int) -> None:
    """Compare a model's configuration with the graph beside it."""
    config = parsed_config(folder / "config.pbtxt")
    assert config.name == folder.name
    assert config.backend == "onnxruntime"
    assert config.max_batch_size == most
    assert config.HasField("dynamic_batching")
    graph = onnx.load(folder / "1" / "model.onnx").graph
    for described, real in ((config.input, graph.input), (config.output, graph.output)):
        assert [tensor.name for tensor in described] == [tensor.name for tensor in real]
        for tensor, value in zip(described, real, strict=True):
            kind = value.type.tensor_type
            assert (
                tensor.DESCRIPTOR.fields_by_name["data_type"]
                .enum_type.values_by_number[tensor.data_type]
                .name
                == TYPES[kind.elem_type]
            )
            batch, *sides = kind.shape.dim
            assert batch.dim_param, "Triton joins calls, so the batch has to be free"
            assert len(tensor.dims) == len(sides)
            for dim, side in zip(tensor.dims, sides, strict=True):
                assert side.dim_value in {0, dim}
    probs = next(tensor for tensor in config.output if tensor.name == "probs")
    labels = (folder / probs.label_filename).read_text("utf-8").splitlines()
    assert len(labels) == probs.dims[0]


def test_a_model_repository_is_true_to_the_graph(pets: Bundle, tmp_path: Path) -> None:
    folder = export_model(pets, "triton", tmp_path / "t").folder
    assert [path.name for path in folder.iterdir()] == ["pets"]  # nothing that is no model
    check_config(folder / "pets", most=32)
    assert '.infer("pets", [tensor])' in (folder / "pets" / "README.md").read_text("utf-8")


def test_triton_takes_as_many_photos_as_asked_for(trained: Trained, tmp_path: Path) -> None:
    wishes = Wishes(batch=5, opset=20)
    export_model(Bundle.read(trained.path), "triton", tmp_path / "t", wishes=wishes)
    check_config(next((tmp_path / "t").iterdir()), most=5)


def manifests(path: Path) -> dict[str, Any]:
    """Return the documents in a file by their kind."""
    yaml: Any = pytest.importorskip("yaml", reason="PyYAML reads the manifests")
    return {document["kind"]: document for document in yaml.safe_load_all(path.read_text())}


def test_the_deployment_starts_our_service_with_flags_it_has(cluster: Path) -> None:
    pod = manifests(cluster / "serve.yaml")["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    entry = re.search(
        r'ENTRYPOINT \["fursure", "serve", (.*)\]', (ROOT / "deploy/Dockerfile").read_text()
    )
    assert entry
    arguments = [*re.findall(r'"([^"]*)"', entry[1]), *map(str, container["args"])]
    known = {option for knob in serve_command.params for option in knob.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known
    parsed = serve_command.make_parser(_context()).parse_args(args=arguments)[0]
    assert list(parsed["models"]) == ["pets"]
    assert pod["securityContext"]["runAsUser"] == 10001  # the user of the image
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    assert parsed["token_file"].startswith(mounts["token"])


def _context() -> Any:
    import click

    return click.Context(serve_command)


def test_probes_and_ports_are_those_of_our_service(cluster: Path) -> None:
    documents = manifests(cluster / "serve.yaml")
    container = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    port = next(knob.default for knob in serve_command.params if knob.name == "port")
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    source = Path(_protocol_v2.__code__.co_filename).read_text()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] == "http"
        assert f'Route("{asked["path"]}"' in source
    assert documents["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert documents["Service"]["spec"]["selector"] == labels
    assert documents["Deployment"]["spec"]["selector"]["matchLabels"] == labels


def test_no_scraper_is_invited_that_would_be_refused(cluster: Path) -> None:
    deployment = (cluster / "serve.yaml").read_text()
    assert "--token-file" in deployment  # /metrics is behind it
    assert "prometheus.io/scrape" not in deployment
    assert "credentials_file" in (cluster / "README.md").read_text()


def test_the_memory_is_what_the_unit_of_systemd_allows(cluster: Path) -> None:
    container = manifests(cluster / "serve.yaml")["Deployment"]["spec"]["template"]["spec"]
    limit = container["containers"][0]["resources"]["limits"]["memory"]
    unit = (ROOT / "deploy" / "fursure.service").read_text()
    assert f"MemoryMax={limit.removesuffix('i')}" in unit


def test_the_autoscaler_reads_our_queue(cluster: Path) -> None:
    documents = manifests(cluster / "serve.yaml")
    scaler = documents["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == documents["Deployment"]["metadata"]["name"]
    name = scaler["metrics"][0]["pods"]["metric"]["name"]
    assert (
        f'"{name}", "Photos that wait for a worker."'
        in Path(Figures.collect.__code__.co_filename).read_text()
    )


def test_the_inference_service_reads_the_repository_that_lies_there(cluster: Path) -> None:
    served = manifests(cluster / "inferenceservice.yaml")["InferenceService"]
    model = served["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "onnx"}
    place = cluster / "models" / model["storageUri"].removeprefix("pvc://fursure-models/")
    check_config(place / served["metadata"]["name"], most=32)


def test_a_model_of_ones_own_is_read_from_the_volume(trained: Trained, tmp_path: Path) -> None:
    bundle = Bundle.read(trained.path)
    folder = export_model(bundle, "kserve", tmp_path / "k", max_error=0.1).folder
    pod = manifests(folder / "serve.yaml")["Deployment"]["spec"]["template"]["spec"]
    model, *flags = pod["containers"][0]["args"]
    assert flags[-2:] == ["--max-error", "0.1"]
    assert Bundle.read(folder / "models" / Path(model).name).digest == bundle.digest
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["models"] == str(Path(model).parent)
    assert "{{" not in "".join(path.read_text("utf-8") for path in folder.glob("*.*"))


def test_kserve_has_no_use_for_what_only_the_network_knows(pets: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match=r"--to kserve has no use for --batch"):
        export_model(pets, "kserve", tmp_path / "k", wishes=Wishes(batch=2))


@pytest.mark.parametrize(
    ("name", "plain"),
    [("My Pets 2", "my-pets-2"), ("../x", "x"), ("猫", "model"), ("a" * 99, "a" * 40)],
)
def test_a_name_is_made_one_that_every_server_takes(name: str, plain: str) -> None:
    assert plain_name(name) == plain
