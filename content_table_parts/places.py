"""Where the project's own files lie: beside the chapter in a clone, in this package where pip has installed it."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def beside(name: str) -> Path:
    """A folder of the project."""
    return _HERE.with_name(name) if _HERE.with_name("pyproject.toml").is_file() else _HERE / name


DATA: Path = beside("data")  # the embedded sample: simulated viewers over real titles
WEIGHTS: Path = beside("saved_weights")
