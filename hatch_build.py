"""The compiled form of the package: what a producer does for each record as C, which mypyc makes of the same sources.

Only ``HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip install .`` runs this, and needs a C compiler.
"""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What takes part in every record that is sent; the rest of the SDK works batch by batch, and gains nothing.
_COMPILED = [
    f"minikafka_client/producer/{module}.py" for module in ("accumulator", "batch", "delivery", "intake", "producer")
]


class CompiledForm(BuildHookInterface[Any]):
    """Puts extension modules beside their sources; Python imports them first."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile a copy of the sources, for neither a build nor a failure should leave anything among them."""
        if version == "editable":
            raise ValueError("an editable install cannot be compiled: what is edited would not be what runs")
        self._space = TemporaryDirectory()
        space = Path(self._space.name)
        for package in ("minikafka", "clients/minikafka_client"):
            shutil.copytree(Path(self.root, package), space / Path(package).name)
        for extension in _compiled(space):
            build_data["force_include"][str(extension)] = str(extension.relative_to(space / "built"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel has its copy."""
        self._space.cleanup()


def _compiled(space: Path) -> list[Path]:
    from mypyc.build import mypycify
    from setuptools import Distribution

    with chdir(space):
        extensions = mypycify(["--ignore-missing-imports", *_COMPILED], group_name="minikafka_client")
        builder = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        builder.build_lib = str(space / "built")
        builder.ensure_finalized()
        builder.run()
    return [path for path in (space / "built").rglob("*") if path.is_file()]
