"""Everything that is measured at a million to ten million ratings, one benchmark after the other.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale.py     # about half an hour, on a quiet machine

Each makes its own data from a seed, says in its first lines what it measures, and stores a file under results/; where
cmfrec and implicit are installed they are measured in the same run. `python benchmarks/readme.py` fills the tables.
"""

import subprocess
import sys
from pathlib import Path

PARTS = (
    "scale_als",
    "scale_topn",
    "scale_tables",
    "scale_sgd",
    "scale_certificates",
    "scale_growth",
    "scale_ease",
    "scale_cores",
)


def main():
    for part in PARTS:
        print(f"\n---- {part}.py", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(f"{part}.py")], check=True)


if __name__ == "__main__":
    main()
