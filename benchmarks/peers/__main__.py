"""fursure beside every peer, one after another, on the same photos: a table in Markdown.

    python -m benchmarks.peers [PEER ...] [--photos N] [--keep FOLDER] [--json FILE] [--minutes N]

Each peer gets a virtual environment with pinned versions, which `--keep` keeps for the next run.
fursure comes first, since the ratios are to its own figures in the same run.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path

from benchmarks.machine import described
from benchmarks.peers.catalogue import PEERS, SHARED, Peer
from benchmarks.peers.measure import Row, measured
from benchmarks.peers.photos import unpack

HEADER = (
    "| peer | what it does | train and judge | × ours | cores busy | peak MB | accuracy "
    "| cold answer | × ours | bulk photos/s | ours × | installed MB |\n" + "|---" * 12 + "|"
)


def main() -> None:
    """Measure the peers that are asked for and print a row for each as it is done."""
    asked = _parsed()
    photos = SHARED / "data" / "cats-vs-dogs-12000.zip"
    if not photos.is_file():
        sys.exit(f"no photos at {photos}; set FURSURE_DATA")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environments = asked.keep or folder / "environments"
        unpack(photos, folder / "photos", asked.photos)
        print(f"{described()}; {date.today()}; {asked.photos} photos\n\n{HEADER}", flush=True)
        for peer in PEERS[:1] + tuple(peer for peer in PEERS[1:] if peer.name in asked.peers):
            work = folder / peer.name
            row = measured(peer, environments, folder / "photos", work, asked.minutes * 60)
            rows.append(row)
            print(written(peer, row, rows[0]), flush=True)
            if asked.json:
                asked.json.write_text(_noted(rows, asked.photos))


def _parsed() -> argparse.Namespace:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("peers", metavar="PEER", nargs="*", help=f"of {' '.join(names)}")
    parser.add_argument("--photos", type=int, default=12_000, help="in all, evenly by class")
    parser.add_argument("--keep", type=lambda text: Path(text).absolute(), help="environments")
    parser.add_argument("--json", type=Path, help="writes the same rows as JSON")
    parser.add_argument("--minutes", type=float, default=120, help="the most for one command")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.peers) - set(names)):
        parser.error(f"no peer is called {unknown[0]}; there are {', '.join(names)}")
    asked.peers = asked.peers or names
    return asked


def written(peer: Peer, row: Row, ours: Row) -> str:
    """Return a row of the table, with its ratios to ours."""
    if row.reason:
        cells = [peer.name, peer.what, f"not measured: {row.reason}".replace("|", "/")]
        return f"| {' | '.join(cells)} |" + " |" * 9
    cells = [
        peer.name,
        peer.what,
        f"{row.train:.1f} s",
        _ratio(row.train, ours.train),
        f"{row.cores:.2f}",
        f"{row.peak:.0f}",
        "random weights" if peer.random else f"{row.accuracy:.2%}, n = {row.n}",
        f"{row.answer:.2f} s",
        _ratio(row.answer, ours.answer),
        f"{row.rate:.1f}",
        _ratio(ours.rate, row.rate),
        f"{row.installed:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(value: float, base: float) -> str:
    return f"{value / base:.1f}" if base else "–"  # ours may have failed


def _noted(rows: list[Row], photos: int) -> str:
    facts = {"machine": described(), "date": str(date.today()), "photos": photos}
    return json.dumps(facts | {"rows": [asdict(row) for row in rows]}, indent=2)


if __name__ == "__main__":
    main()
