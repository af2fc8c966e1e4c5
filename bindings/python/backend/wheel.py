"""Writes a wheel: the module as a package, the library beside it, and what a wheel says of itself.

The same input gives the same bytes.
"""

import base64
import hashlib
import zipfile
from pathlib import Path

import project

#: The earliest that a zip can hold.
DATE = (1980, 1, 1, 0, 0, 0)


def tag_of(platform):
    """ctypes needs no particular Python: one wheel for all on a platform."""
    return "py3-none-" + platform.replace("-", "_").replace(".", "_")


def write(library, platform, folder):
    """Writes the wheel for a platform, such as `manylinux_2_17_x86_64`, and returns its name."""
    stem = "%s-%s" % (project.MODULE, project.version())
    info = stem + ".dist-info/"
    package = project.MODULE + "/"
    files = {
        package + "__init__.py": project.SOURCE.read_bytes(),
        package + "py.typed": b"",
        package + project.soname(): Path(library).read_bytes(),
        info + "licenses/LICENSE": (project.CRATE / "LICENSE").read_bytes(),
        info + "METADATA": project.metadata().encode(),
        info + "WHEEL": (
            "Wheel-Version: 1.0\nGenerator: deepstream-connector\nRoot-Is-Purelib: false\nTag: %s\n" % tag_of(platform)
        ).encode(),
    }
    record = "".join("%s,sha256=%s,%d\n" % (name, _digest(data), len(data)) for name, data in files.items())
    files[info + "RECORD"] = (record + info + "RECORD,,\n").encode()

    name = "%s-%s.whl" % (stem, tag_of(platform))
    with zipfile.ZipFile(Path(folder) / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, DATE)
            mode = 0o755 if path.endswith(project.soname()) else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return name


def _digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
