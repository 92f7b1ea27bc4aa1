"""The command line: parse, call a workflow, print. Heavy imports wait inside the commands."""

import errno
import importlib
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {  # name -> the module that holds it, imported only when it is asked for
    "backbones": "fursure.cli.tools",
    "cache": "fursure.cli.tools",
    "check": "fursure.cli.check",
    "compare": "fursure.cli.compare",
    "demo": "fursure.cli.demo",
    "doctor": "fursure.cli.tools",
    "evaluate": "fursure.cli.evaluate",
    "export": "fursure.cli.serve",
    "predict": "fursure.cli.predict",
    "push": "fursure.cli.tools",
    "recipes": "fursure.cli.recipes",
    "serve": "fursure.cli.serve",
    "show": "fursure.cli.evaluate",
    "split": "fursure.cli.split",
    "train": "fursure.cli.train",
    "tune": "fursure.cli.compare",
}
SUMMARIES = {  # so that --help imports none of them; a test compares them with the commands
    "backbones": "List the encoders at hand.",
    "cache": "List what is cached, or clear it.",
    "check": "Look for what is wrong with the labelled photos in DATA.",
    "compare": "Train each RECIPE on one split of DATA, and say which is worth its time.",
    "demo": "Train, evaluate and predict on drawn pictures, offline, in seconds.",
    "doctor": "Check this machine: versions, engines, threads, folders, one test photo.",
    "evaluate": "Measure MODEL on the labelled photos in DATA.",
    "export": "Write what runs MODEL elsewhere into a new folder.",
    "predict": "Say what is on PHOTOS: files, folders, globs, archives, URLs, or - for stdin.",
    "push": "Publish MODEL on the Hugging Face Hub as ORG/NAME.",
    "recipes": "List the named recipes, or print one as TOML.",
    "serve": "Serve MODELS as a page to drop photos on, and as an HTTP API.",
    "show": "Say what MODEL is: classes, figures, layers, what it was trained on.",
    "split": "Divide the labelled photos in DATA into train, val and test.",
    "train": "Train a classifier on the labelled photos in DATA.",
    "tune": "Search for the recipe that suits the photos in DATA, and train a model by it.",
}

GROUPS = {  # as --help lists them; a command stands in one of them
    "Train and judge": ("demo", "train", "tune", "evaluate", "compare"),
    "Answer": ("predict", "serve", "export"),
    "Photos": ("check", "split"),
    "Models and machine": ("show", "push", "recipes", "backbones", "cache", "doctor"),
}

SYNONYMS = {  # what other tools call it -> the command that is meant
    "classify": "predict", "infer": "predict", "fit": "train", "val": "evaluate",
    "test": "evaluate", "config": "doctor", "settings": "doctor", "info": "show",
    "upload": "push", "convert": "export", "models": "backbones",
}  # fmt: skip


class Lazy(click.Group):
    """A group that knows its commands by name and imports each only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name])
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, group by group, without importing any."""
        widest = max(map(len, COMMANDS))
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), SUMMARIES[name]) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Propose the commands without importing any, and the options of the group."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=SUMMARIES[name])
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        if args and args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = [SYNONYMS[args[0]]] if args[0] in SYNONYMS else []
            near = near or get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"fursure {version('fursure')}")
        ctx.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version.",
)  # fmt: skip
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Photos in, a classifier out that says when it is sure.

    Results go to standard output, everything else to standard error. Exit codes: 0 done,
    1 failed, 2 wrong usage, 3 some photos failed (predict, evaluate, check) or some recipes
    (compare), 130 interrupted, 141 the reader of a pipe left.
    """
    ctx.obj = debug


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    SIGPIPE stays ignored, as Python has it: by default it ends a process that writes to anything
    whose reader is gone, a service with one impatient client among them.
    """
    from fursure.cli.options import complain
    from fursure.terminal import streams

    streams.prepare()
    args = sys.argv[1:] if args is None else args
    try:
        code = _run(args)
        sys.stdout.flush()
        if streams.results_were_lost():
            complain("standard output is closed: what was to be printed there is lost.")
            code = 1
    except BrokenPipeError:  # `| head` has seen enough: no fault, but not all was written
        streams.leave_pipe()
        code = 141  # as of a program that SIGPIPE ended
    except OSError as error:  # the disk behind standard output is full, for one
        if "--debug" in args:
            raise
        complain(f"{error.filename or 'input or output'}: {_explained(error)}.")
        code = 1
    sys.exit(code)


def _explained(error: OSError) -> str:
    """Return what is wrong with a file, and what to do about it."""
    from fursure.files import FULL

    what = error.strerror or str(error)
    match error.errno:
        case number if number in FULL:
            return f"{what}; free some space there, or name another place, and run it again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{what}; name a place that can be read and written"
    return what


def _run(args: list[str]) -> int:
    """Run one command and return its exit code; what goes wrong is one sentence."""
    from fursure.cli.options import complain
    from fursure.errors import FursureError

    stream = sys.stdout
    try:
        code: Any = cli.main(args, prog_name="fursure", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SystemExit:
        if sys.stdout is not stream:  # click's sign that the reader left; its exit code says less
            raise BrokenPipeError from None
        raise
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command continues where it stopped", err=True)
        code = 130
    except FursureError as error:
        if "--debug" in args:
            raise
        complain(str(error))
        code = 1
    except MemoryError:
        if "--debug" in args:
            raise
        complain("out of memory; try --threads 1, or fewer or smaller photos.")
        code = 1
    return code if isinstance(code, int) else 0
