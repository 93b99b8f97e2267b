"""The command `content-table`: as `python -m content_table`, which says a word before anything large is imported."""

import runpy


def main() -> None:
    """Run the chapter as a program, with the arguments of this one."""
    runpy.run_module("content_table", run_name="__main__", alter_sys=True)
