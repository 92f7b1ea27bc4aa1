"""Write docs/cli.md from the commands themselves; with --check, fail where it is out of date."""

import sys
from pathlib import Path

import click

from fursure.cli import COMMANDS, SUMMARIES, cli

PATH = Path(__file__).parents[1] / "docs" / "cli.md"
INTRO = """# Command line

Written by `scripts/cli_reference.py` from the commands themselves; `make check` compares.

Results go to standard output, everything else to standard error. `--json` prints one object per
line. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; 3 of `predict`, `evaluate`
and `check` where some photos could not be used, and of `compare` where some recipes failed (the
others are there). `train`, `tune` and `split` leave such photos out, count them even under `-q`,
and end with 0. Running the same command again continues what was interrupted. `FURSURE_HOME` is
the folder of caches, `FURSURE_OFFLINE` (or `HF_HUB_OFFLINE`) forbids the network; `fursure
doctor` says which such variables are set, and what each does. There is no file of settings: flags
come first, then these, then the recipe. There is no telemetry.

`predict` also takes names from a list: `git ls-files photos | fursure predict --files-from -`, or
`find photos -newer last -print0 | fursure predict -0 --files-from -`. They are relative to the
current folder. A list has no labels: what trains and measures takes a table of `path,label`.

Answers and errors are in colour on a terminal that has it. `NO_COLOR=1` forbids that,
`FORCE_COLOR=1` asks for it in a pipe too; JSON and tables never have any.

Tab completes commands, options, `--recipe`, `--backbone` and models, once the shell's file of
settings has one line more:

```sh
eval "$(_FURSURE_COMPLETE=bash_source fursure)"          # ~/.bashrc; bash 4.4 or newer
eval "$(_FURSURE_COMPLETE=zsh_source fursure)"           # ~/.zshrc
_FURSURE_COMPLETE=fish_source fursure | source           # ~/.config/fish/config.fish
```
"""


def reference() -> str:
    """Return the whole page."""
    parts = [INTRO]
    group = click.Context(cli, info_name="fursure", terminal_width=96, max_content_width=96)
    for name in sorted(COMMANDS):
        command = cli.get_command(group, name)
        assert command is not None
        assert command.get_short_help_str(200) == SUMMARIES[name], name
        context = click.Context(
            command, info_name=name, parent=group, terminal_width=96, max_content_width=96
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def main() -> None:
    """Write or compare."""
    text = reference()
    if "--check" not in sys.argv:
        PATH.write_text(text)
    elif PATH.read_text() != text:
        sys.exit("docs/cli.md is out of date; run `make format`")


if __name__ == "__main__":
    main()
