"""``python -m fursure`` is the command line."""

from fursure.cli import main

main()
