"""What pip asks for (PEP 517), and the same by hand for libraries that are built already.

    python3 connector_build.py wheel LIBRARY PLATFORM FOLDER
    python3 connector_build.py sdist CRATE FOLDER
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import project
import sdist
import wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Builds the library with cargo, for this very machine."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", project.CRATE / "target"))
    subprocess.run(
        [os.environ.get("CARGO", "cargo"), "build", "--release", "--lib", "--no-default-features", "--features",
         "capi " + os.environ.get("CONNECTOR_FEATURES", "full")],
        cwd=project.CRATE, check=True)
    library = project.CRATE / target / "release" / project.LIBRARY
    return _stripped(library, sysconfig.get_platform(), wheel_directory)


def build_sdist(sdist_directory, config_settings=None):
    return sdist.write(sdist.pack_crate(), sdist_directory)


def _stripped(library, platform, folder):
    """A wheel of the library without what only a debugger reads."""
    with tempfile.TemporaryDirectory() as work:
        stripped = Path(work) / project.LIBRARY
        subprocess.run(["strip", "--strip-unneeded", "-o", stripped, library], check=True)
        return wheel.write(stripped, platform, folder)


def main(arguments):
    if arguments[:1] == ["wheel"] and len(arguments) == 4:
        print(_stripped(*arguments[1:]))
    elif arguments[:1] == ["sdist"] and len(arguments) == 3:
        print(sdist.write(*arguments[1:]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
