"""What the packages are made of: where it lies, and what they say of themselves."""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
#: The crate: beside us in an sdist, around us in the repository.
CRATE = HERE / "rust" if (HERE / "rust").is_dir() else HERE.parent.parent

MODULE = "deepstream_connector"
SOURCE = HERE / (MODULE + ".py")
LIBRARY = "libdeepstream_connector.so"


def version():
    """That of the crate, whose manifest gives it first of all versions."""
    return re.search(r'^version = "(.*)"$', (CRATE / "Cargo.toml").read_text(), re.M).group(1)


def soname():
    """The name by which the module asks for the library."""
    return LIBRARY + "." + re.search(r"^_ABI_VERSION = (\d+)$", SOURCE.read_text(), re.M).group(1)


def metadata():
    """The core metadata of `pyproject.toml`; as there is a reader of TOML since Python 3.11 only, this reads what we wrote."""
    text = (HERE / "pyproject.toml").read_text()

    def word(name):
        return re.search(r'^%s = "(.*)"$' % re.escape(name), text, re.M).group(1)

    def words(name):
        return re.findall(r'"(.*?)"', re.search(r"^%s = \[(.*?)\]" % name, text, re.M | re.S).group(1))

    lines = [
        "Metadata-Version: 2.4",
        "Name: " + word("name"),
        "Version: " + version(),
        "Summary: " + word("description"),
        "Keywords: " + ",".join(words("keywords")),
        "License-Expression: " + word("license"),
        "License-File: LICENSE",
        *("Classifier: " + classifier for classifier in words("classifiers")),
        "Project-URL: Repository, " + word("Repository"),
        "Requires-Python: " + word("requires-python"),
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(lines) + "\n\n" + (HERE / "README.md").read_text()
