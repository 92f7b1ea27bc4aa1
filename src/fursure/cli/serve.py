"""``fursure serve`` and ``fursure export``: models → a page with an API, or a page alone."""

import sys
from pathlib import Path

import click

from fursure.cli import complete, options


def _seconds(name: str, least: float, most: float, default: float, text: str) -> options.Decorator:
    return click.option(
        f"--{name}", type=click.FloatRange(least, most), default=default, show_default=True,
        metavar="SECONDS", help=text,
    )  # fmt: skip


@click.command("serve")
@click.argument("models", nargs=-1, shell_complete=complete.models)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
    help="0 takes any that is free.",
)  # fmt: skip
@click.option(
    "--allow-remote", is_flag=True, help="Let other machines in, if --host is not this one alone."
)
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="A name that the service goes by; repeat."
)
@click.option(
    "--token-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="The token that clients have to send. [default: a new one, printed]",
)  # fmt: skip
@click.option("--no-auth", is_flag=True, help="Ask other machines for no token.")
@click.option(
    "--rate", type=click.FloatRange(0), default=100.0, show_default=True,
    help="Requests a second of one address; 0 is no limit.",
)  # fmt: skip
@_seconds("receive-timeout", 0.1, 600, 10.0, "Time in which a request has to have arrived.")
@_seconds("send-timeout", 0.1, 600, 10.0, "Time in which a client has to read on in its answer.")
@_seconds("deadline", 0.05, 60, 1.0, "Time a photo may wait for its turn.")
@click.option(
    "--lift-address-limits", is_flag=True, help="Count no single address: for load tests."
)
@click.option(
    "--publish-reports", is_flag=True,
    help="Show visitors NAME.report.html, which lies beside a model and holds photos and their "
    "names.",
)  # fmt: skip
@click.option(
    "--access-log/--no-access-log", default=True, show_default=True,
    help="A line for each request on standard error: address, path and status.",
)  # fmt: skip
@options.max_error
@options.engine
@options.threads
def serve_command(
    models: tuple[str, ...],
    host: str,
    port: int,
    allow_remote: bool,
    allow_host: tuple[str, ...],
    token_file: Path | None,
    no_auth: bool,
    rate: float,
    receive_timeout: float,
    send_timeout: float,
    deadline: float,
    lift_address_limits: bool,
    publish_reports: bool,
    access_log: bool,
    max_error: float | None,
    engine: str,
    threads: int | None,
) -> None:
    """Serve MODELS as a page to drop photos on, and as an HTTP API.

    MODELS are .fursure files, hub:ORG/NAME, or pets, the one in the package and the default; the
    first answers where no name is given. SIGHUP reads them again, SIGTERM finishes what was
    accepted and ends. Other machines reach it only with --host, --allow-remote and a token.
    """
    from fursure.commands.serve import Wanted, serve_models

    wanted = Wanted(
        models=models or ("pets",),
        host=host,
        port=port,
        allow_remote=allow_remote,
        hosts=allow_host,
        token_file=token_file,
        no_auth=no_auth,
        rate=rate,
        receive=receive_timeout,
        send=send_timeout,
        deadline=deadline,
        no_address_limits=lift_address_limits,
        publish_reports=publish_reports,
        access_log=access_log,
        max_error=max_error,
        engine=engine,  # type: ignore[arg-type]
        threads=threads,
    )

    def ready(url: str) -> None:
        options.receipt(url)
        sys.stdout.flush()

    serve_models(wanted, say=options.say, ready=ready)


@click.command("export")
@click.argument("model", shell_complete=complete.models)
@click.option(
    "--to", "target",
    type=click.Choice(["web", "onnx", "openvino", "litert", "coreml", "triton", "kserve"]),
    required=True,
    help="web: a page that answers in the browser. onnx, openvino: plain files with a proof. "
    "litert, coreml: the same for Android and iOS. triton: a model repository. kserve: manifests "
    "for Kubernetes.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR",
    help="The folder to make; an empty one will do.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32",
    show_default=True,
    help="fp16 stores so what moves no probability by more than 0.001; int8 computes so too, and "
    "is refused where answers change on more than 0.5 % of the photos given.",
)  # fmt: skip
@click.option(
    "--calibrate", type=click.Path(path_type=Path), metavar="PHOTOS",
    help="Photos for int8: a folder, an archive or a table.",
)  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(1, 1024), help="Photos a call, fixed. [default: any number]"
)
@click.option("--opset", type=int, help="The version of ONNX's words. [default: 18]")
@click.option(
    "--runtime", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
    help="The npm package onnxruntime-web, for networks that the page has no code for. "
    "[default: that of npm here, else a pinned link]",
)  # fmt: skip
@options.max_error
@options.quiet
def export_command(
    model: str,
    target: str,
    output: Path,
    precision: str,
    calibrate: Path | None,
    batch: int | None,
    opset: int | None,
    runtime: Path | None,
    max_error: float | None,
    quiet: bool,
) -> None:
    """Write what runs MODEL elsewhere into a new folder.

    MODEL is a .fursure file, or pets, the one in the package. Nothing is written unless the model
    gives its golden answers here.
    """
    from fursure.bundle.named import find_model
    from fursure.commands.export import export_model
    from fursure.exporting.ported import Wishes

    made = export_model(
        find_model(model),
        target,
        output,
        options.run_from({}, quiet=quiet),
        max_error=max_error,
        wishes=Wishes(
            precision=precision,  # type: ignore[arg-type]
            calibrate=calibrate,
            runtime=runtime,
            batch=batch,
            opset=opset,
        ),
    )
    options.receipt(f"{made.folder}: {made.files} files, {made.bytes / 1e6:.1f} MB")
    if made.look and not quiet:
        options.say(f"look at it: {made.look}")
