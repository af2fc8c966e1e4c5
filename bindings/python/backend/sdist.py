"""Writes the source distribution: this folder, and the crate as cargo packs it, in `rust/`."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import project

FILES = ["pyproject.toml", "README.md", project.MODULE + ".py"]


def write(crate, folder):
    """Writes it and returns its name; `crate` is the file that cargo made."""
    stem = "%s-%s" % (project.MODULE, project.version())
    name = stem + ".tar.gz"
    with tarfile.open(Path(folder) / name, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, stem + "/PKG-INFO", project.metadata().encode())
        _add(archive, stem + "/LICENSE", (project.CRATE / "LICENSE").read_bytes())
        for file in [project.HERE / name for name in FILES] + sorted((project.HERE / "backend").glob("*.py")):
            _add(archive, "%s/%s" % (stem, file.relative_to(project.HERE)), file.read_bytes())
        with tarfile.open(crate) as packed:
            for member in packed:
                path = member.name.split("/", 1)[1]
                _add(archive, "%s/rust/%s" % (stem, path), packed.extractfile(member).read())
    return name


def pack_crate():
    """Has cargo pack the crate, and returns the file."""
    subprocess.run(
        [os.environ.get("CARGO", "cargo"), "package", "--package", "deepstream-connector", "--no-verify", "--allow-dirty", "--quiet"],
        cwd=project.CRATE, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", project.CRATE / "target"))
    return project.CRATE / target / "package" / ("deepstream-connector-%s.crate" % project.version())


def _add(archive, path, data):
    member = tarfile.TarInfo(path)
    member.size = len(data)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(data))
