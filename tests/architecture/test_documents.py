"""README and ARCHITECTURE.md say what the code does now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minikafka.broker.api_table import api_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "minikafka" / "ARCHITECTURE.md").read_text()

SELF_EXPLAINING = {"__init__", "__main__"}
BY_API = {ROOT / "minikafka/protocol/messages", ROOT / "minikafka/broker/handlers"}


def modules() -> list[Path]:
    found = [*(ROOT / "minikafka").rglob("*.py"), *(ROOT / "clients").rglob("*.py")]
    return sorted(path for path in found if path.stem not in SELF_EXPLAINING and path.parent not in BY_API)


def file_map() -> dict[str, set[str]]:
    """Folder to the modules that the file map lists for it."""
    rows = re.findall(r"^\| `([^`]+)/` \| (.+) \|$", ARCHITECTURE, re.MULTILINE)
    return {_folder(name): set(re.findall(r"`(\w+)`", text)) for name, text in rows}


def _folder(name: str) -> str:
    if name.startswith("…/"):
        return name.replace("…", "clients/minikafka_client")
    return name if name == "minikafka" or name.startswith("clients") else f"minikafka/{name}"


def _folder_of(path: Path) -> str:
    return str(path.parent.relative_to(ROOT))


def test_the_readme_lists_the_served_apis() -> None:
    listed = README.partition("a test compares -->\n")[2].partition("\n<!-- served-apis: end")[0]
    assert listed == api_table()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_file_map_has_every_module(path: Path) -> None:
    assert path.stem in file_map()[_folder_of(path)]


def test_the_file_map_names_nothing_that_is_gone() -> None:
    existing: dict[str, set[str]] = {}
    for path in modules():
        existing.setdefault(_folder_of(path), set()).add(path.stem)
    gone = {folder: names - existing[folder] for folder, names in file_map().items() if names - existing[folder]}
    assert not gone


@pytest.mark.parametrize(
    "dotted", sorted(set(re.findall(r"`((?:net|broker|protocol|storage|replication)\.[\w.]+)`", ARCHITECTURE)))
)
def test_the_paths_of_produce_and_fetch_name_things_that_exist(dotted: str) -> None:
    module, attributes = Path(), dotted.split(".")
    where = ROOT / "minikafka"
    while attributes and ((where / attributes[0]).is_dir() or (where / f"{attributes[0]}.py").exists()):
        where = where / attributes.pop(0)
    module = where.with_suffix(".py")
    source = module.read_text()
    for name in attributes:
        assert re.search(rf"(class|def) {name}\b", source), f"{module} has no {name}"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+\.py)`", ARCHITECTURE))))
def test_the_tests_that_guard_invariants_exist(name: str) -> None:
    if name != "test_X.py":
        assert list((ROOT / "tests").rglob(name))
