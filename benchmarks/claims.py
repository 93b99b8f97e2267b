"""Do the sentences of the lessons hold for other seeds? Every claim of notebooks/claims.toml, computed anew.

python benchmarks/claims.py                     # or: make claims
python benchmarks/claims.py 03_baseline --seeds 1 2 3

A lesson that draws anything at random has a line `SEED = ...` in its first cell. Its code cells are run as they stand,
with other seeds in that line, and then the claims are evaluated where the lesson ends:

[[claim]]
lesson = "03_baseline"
sentence = "..."                                # as it stands in the lesson
number = "..."                                  # Python: what the sentence is about
half = "..."                                    # half width of the number's interval, where it has one
stands = "number + half < 0"                    # Python: whether the sentence is true

Exit status 1 where a sentence does not stand.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SEED = re.compile(r"(?m)^SEED = (\d+)")

# Runs the code cells of a notebook, then each of some further texts, every one from the state after the last cell.
RUN = """
import json, sys, warnings
from IPython.core.interactiveshell import InteractiveShell

warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
cells, further = json.load(sys.stdin)
shell = InteractiveShell.instance()
for source, may_fail in cells:
    result = shell.run_cell(source)
    if not may_fail:
        result.raise_error()
end = dict(shell.user_ns)
for source in further:
    shell.run_cell(source).raise_error()
    shell.user_ns.clear()
    shell.user_ns.update(end)
"""
CLAIM = """
number = {number}
half = {half}
print("\\nclaim", [float(number), None if half is None else float(half), bool({stands})])
"""


def run(cells, further):
    """Run cells, as `code` gives them, and further texts in a process of its own, in the lessons' folder."""
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(
            [sys.executable, "-c", RUN],
            cwd=NOTEBOOKS,
            env=os.environ | {"MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8", "IPYTHONDIR": profile},
            input=json.dumps([cells, further]),
            capture_output=True,
            encoding="utf-8",
        )


def claims():
    """{lesson: its claims}, from claims.toml."""
    table = {}
    for claim in tomllib.loads((NOTEBOOKS / "claims.toml").read_text(encoding="utf-8")).get("claim", []):
        table.setdefault(claim["lesson"], []).append(claim)
    return table


def code(notebook, seed=None):
    """[(source, whether it may fail)] of a notebook's code cells, with another seed."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    found = [("".join(cell["source"]), "raises-exception" in cell["metadata"].get("tags", [])) for cell in cells]
    return found if seed is None else [(SEED.sub(f"SEED = {seed}", text), may_fail) for text, may_fail in found]


def evaluated(lesson, seed=None):
    """[[number, half width or None, whether it stands]] of a lesson's claims, computed with a seed."""
    notebook = json.loads((NOTEBOOKS / f"{lesson}.ipynb").read_text(encoding="utf-8"))
    own = [CLAIM.format(**{"half": None} | claim) for claim in claims()[lesson]]
    done = run(code(notebook, seed), own)
    if done.returncode:
        raise RuntimeError(f"{lesson} with seed {seed}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return [ast.literal_eval(line[6:]) for line in done.stdout.splitlines() if line.startswith("claim [")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", help="default: all that make claims")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 202, 303])
    chosen = parser.parse_args()
    rows = []
    for lesson in chosen.lessons or claims():
        for seed in chosen.seeds:
            for claim, (number, half, stands) in zip(claims()[lesson], evaluated(lesson, seed), strict=True):
                shown = f"{number:.3f}" + ("" if half is None else f" ± {half:.3f}")
                rows.append(
                    {"lesson": lesson, "claim": claim["sentence"], "seed": seed, "found": shown, "stands": stands}
                )
                print(f"{lesson} seed {seed}: {shown} {'stands' if stands else 'DOES NOT STAND'}: {claim['sentence']}")
    table = pd.DataFrame(rows)
    print(
        f"{len(table)} of {len(table)} stand" if table["stands"].all() else f"{(~table['stands']).sum()} do not stand"
    )
    sys.exit(0 if table["stands"].all() else 1)


if __name__ == "__main__":
    main()
