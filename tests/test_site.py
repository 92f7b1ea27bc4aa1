"""The site, built as `make docs` builds it: whole, near, and without anything from elsewhere."""

import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urldefrag

import pytest
import yaml

from scripts.site_pages import place, relinked, write_pages

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r'<(?:script|img|iframe)[^>]* src="?([^"\s>]+)|<link[^>]* href="?([^"\s>]+)')


def named(nav: object) -> set[str]:
    """Return every page that a part of the navigation names."""
    match nav:
        case str():
            return {nav}
        case dict():
            return set().union(*map(named, nav.values()))
        case list():
            return set().union(*map(named, nav))
    return set()


def test_every_page_but_the_decisions_stands_in_the_navigation(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    write_pages(pages)
    written = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    nav = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert {page for page in written - nav if not page.startswith("decisions/0")} == set()
    assert nav <= written


@pytest.mark.parametrize(
    ("page", "link", "turned"),
    [
        ("deploy.md", "[image](../deploy/Dockerfile)", "image"),
        ("cli.md", "[it](../CONTRIBUTING.md#fuzzing)", "[it](project/contributing.md#fuzzing)"),
        ("project/contributing.md", "[x](docs/experiments.md)", "[x](../experiments.md)"),
        ("project/contributing.md", "[x](docs/decisions)", "[x](../decisions/README.md)"),
        ("decisions/0001-a.md", "[x](../cli.md)", "[x](../cli.md)"),
        ("index.md", "[x](#here) [y](https://example.org/)", None),
    ],
)
def test_a_link_of_the_repository_leads_to_its_page_or_is_a_name(
    page: str, link: str, turned: str | None
) -> None:
    assert relinked(link, page) == (turned or link)
    assert place("Makefile") == ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site; the process that builds it may open no connection."""
    zensical = Path(sys.executable).with_name("zensical")
    if not zensical.is_file():
        pytest.skip("no zensical here: the extra docs")
    folder = tmp_path_factory.mktemp("site")
    write_pages(folder / "site-pages")
    shutil.copyfile(ROOT / "mkdocs.yml", folder / "mkdocs.yml")
    (folder / "src").symlink_to(ROOT / "src")
    guard = Path(__file__).with_name("without_network.py")
    code = "from zensical.main import cli; cli(['build', '--clean', '--strict'])"
    built = subprocess.run(
        [sys.executable, str(guard), code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    return folder / "site"


@pytest.mark.long
def test_every_page_is_two_clicks_from_the_first(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - {"404.html"}
    near = {"index.html"}
    for _ in range(2):
        near |= {link for page in near for link in links(site, page)}
    assert pages - near == set()


def links(site: Path, page: str) -> set[str]:
    """Return the pages of the site that ``page`` leads to."""
    targets = re.findall(r'<a[^>]* href="?([^"\s>]+)', (site / page).read_text("utf-8"))
    places = {
        posixpath.normpath(posixpath.join(posixpath.dirname(page), urldefrag(target).url or page))
        for target in targets
        if ":" not in target
    }
    return {found for found in places if found.endswith(".html") and (site / found).is_file()}


@pytest.mark.long
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = {
        target
        for path in site.rglob("*.html")
        for pair in LOADED.findall(path.read_text("utf-8"))
        for target in pair
        if target
    }
    assert loaded
    assert not {target for target in loaded if target.startswith(("http:", "https:", "//"))}


@pytest.mark.long
def test_what_is_public_is_explained_with_its_words(site: Path) -> None:
    text = (site / "reference" / "python.html").read_text("utf-8")
    assert "Train a classifier on the labelled photos" in text
    assert "vgg16-bottleneck" in (site / "reference" / "recipes.html").read_text("utf-8")
