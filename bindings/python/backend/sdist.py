"""Writes the source distribution: this folder, and the crate as cargo packs it, in `rust/`."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import project

FILES = ["pyproject.toml", "README.md", project.MODULE + ".py"]


def write(folder):
    """Writes it and returns its name."""
    stem = "%s-%s" % (project.MODULE, project.version())
    name = stem + ".tar.gz"
    with tarfile.open(Path(folder) / name, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, stem + "/PKG-INFO", project.metadata().encode())
        _add(archive, stem + "/LICENSE", (project.CRATE / "LICENSE").read_bytes())
        for file in [project.HERE / name for name in FILES] + sorted((project.HERE / "backend").glob("*.py")):
            _add(archive, "%s/%s" % (stem, file.relative_to(project.HERE)), file.read_bytes())
        for path, data in _crate():
            _add(archive, "%s/rust/%s" % (stem, path), data)
    return name


def _crate():
    """The files of the crate: those that are here already, or of the package that cargo makes of the repository."""
    if project.CRATE.parent == project.HERE:
        for file in sorted(project.CRATE.rglob("*")):
            if file.is_file() and "target" not in file.relative_to(project.CRATE).parts[:1]:
                yield str(file.relative_to(project.CRATE)), file.read_bytes()
        return
    with tarfile.open(packed_crate()) as archive:
        for member in archive:
            if member.isfile():
                yield member.name.split("/", 1)[1], archive.extractfile(member).read()


def packed_crate():
    """Where cargo has put the package of the crate."""
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
