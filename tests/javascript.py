"""The exported page's modules, run by node: pixels in, pixels out, without a browser."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

PAGE = Path(__file__).parents[1] / "src" / "fursure" / "exporting" / "page"


@dataclass(frozen=True)
class Node:
    """A folder with the page's modules, and node to run them."""

    program: str
    folder: Path

    @classmethod
    def found(cls, folder: Path) -> "Node":
        """Copy the modules into ``folder``; skip where there is no node."""
        program = shutil.which("node")
        if program is None:
            pytest.skip("no node on this machine, which runs the page's modules")
        shutil.copytree(PAGE, folder, dirs_exist_ok=True)
        (folder / "package.json").write_text('{"type": "module"}')
        return cls(program, folder)

    def __call__(self, code: str, *cases: Any) -> list[Any]:
        """Return what ``code``, a function's body, makes of each of the ``cases``.

        Each is called ``given``; ``bytes(path)`` reads a file, ``kept(path, data)`` writes one. A
        refusal comes back as {"refused": its sentence}.
        """
        (self.folder / "cases.json").write_text(json.dumps(cases))
        (self.folder / "main.js").write_text(
            'import { readFileSync, writeFileSync } from "node:fs";\n'
            'import { Refused } from "./refused.js";\n'
            "const bytes = (path) => new Uint8Array(readFileSync(path));\n"
            "const kept = (path, data) => writeFileSync(path, data);\n"
            f"const work = async (given) => {{ {code} }};\n"
            "const results = [];\n"
            'for (const given of JSON.parse(readFileSync("cases.json"))) {\n'
            "  try { results.push((await work(given)) ?? null); }\n"
            "  catch (error) {\n"
            "    if (!(error instanceof Refused)) throw error;\n"
            "    results.push({ refused: error.message });\n"
            "  }\n"
            "}\n"
            "console.log(JSON.stringify(results));\n"
        )
        run = subprocess.run(
            [self.program, "main.js"], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        results: list[Any] = json.loads(run.stdout.splitlines()[-1])
        return results


def pixels(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """Return RGB pixels that ``kept`` wrote."""
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(height, width, 3)
