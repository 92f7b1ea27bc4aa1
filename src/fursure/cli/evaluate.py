"""``fursure evaluate``: model + labelled photos → figures."""

from pathlib import Path

import click

from fursure.cli import options


@click.command()
@click.argument("model")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--include-seen", is_flag=True, help="Also count photos the model was made from.")
@options.max_error
@options.label_regex
@options.engine
@options.threads
@options.as_json
@options.quiet
@click.pass_context
def evaluate(
    ctx: click.Context,
    model: str,
    data: Path,
    include_seen: bool,
    max_error: float | None,
    label_regex: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure MODEL on the labelled photos in DATA.

    Photos it was trained or validated on are left out and counted. MODEL is a .fursure file, or
    pets, the one in the package.
    """
    from fursure.metrics.classification import format_table
    from fursure.workflows.evaluate import evaluate_model
    from fursure.workflows.predict import find_model
    from fursure.workflows.progress import silent

    result = evaluate_model(
        find_model(model),
        data,
        include_seen=include_seen,
        engine=engine,  # type: ignore[arg-type]
        threads=threads,
        max_error=max_error,
        label_regex=label_regex,
        progress=silent if quiet else options.bar,
    )
    if as_json:
        click.echo(options.to_json({"model": model, "data": str(data), **result.to_json()}))
    else:
        click.echo(format_table(result.evaluation))
        wrong = result.answered_wrong
        click.echo(f"answered          {result.answered}, of which wrong {wrong or 'none'}")
        click.echo(f"called strangers  {result.strangers}")
    if not quiet:
        if result.seen:
            options.say(f"left out {result.seen} photos the model was made from (--include-seen)")
        for one in result.failed[:5]:
            options.say(f"left out {one.path}: {one.error}")
        if len(result.failed) > 5:
            options.say(f"left out {len(result.failed) - 5} more that cannot be used")
    if result.failed:
        ctx.exit(3)
