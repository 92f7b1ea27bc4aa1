"""The notebooks of docs/: whole, without leftovers, and run from the first cell to the last."""

import os
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_holds_no_output_and_can_install_itself(path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "%pip install" in cells[0].source  # Colab begins without fursure
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # of Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    with mock.patch.dict(os.environ, {"FURSURE_OFFLINE": "1", "IPYTHONDIR": str(tmp_path)}):
        NotebookClient(notebook, timeout=300, resources=place).execute()
    printed = [
        output.get("text", "") + str(output.get("data", ""))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert any("stranger" in text or "accuracy" in text for text in printed)
    assert list(tmp_path.glob("*.fursure"))
