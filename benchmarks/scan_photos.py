"""Read, digest, hash and group photos, without features.

python -m benchmarks.scan_photos SOURCE…
"""

import sys
from contextlib import ExitStack, closing

from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.features.reader import fingerprints
from fursure.run import available_threads
from fursure.splitting.groups import group
from fursure.splitting.scan import scan
from fursure.splitting.scanned import views_of


def main(paths: list[str]) -> None:
    """Scan everything and say how many groups there are."""
    rows = []
    with ExitStack() as stack:
        known = stack.enter_context(closing(fingerprints(256)))
        for path in paths:
            source = stack.enter_context(open_source(path))
            listing = list_photos(source)
            for chunk in scan(source, listing.photos, known, threads=available_threads()):
                rows += chunk
    found = [(one.photo, one.fingerprint) for one in rows if one.fingerprint is not None]
    views_NV = views_of([fingerprint for _, fingerprint in found])
    digests = [photo.sha256 for photo, _ in found]
    names = group(digests, views_NV[:, 0], views_NV[:, 1], crops_NV=views_NV[:, 2:])
    print(f"{len(found)} photos, {len(set(names))} groups")


if __name__ == "__main__":
    main(sys.argv[1:])
