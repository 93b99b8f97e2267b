"""The model of docs/ADD_YOUR_OWN_MODEL.md, as the page has it: its first block of code, run as this module."""

import re
from pathlib import Path

import content_table as ct

PAGE = Path(ct.__file__).parent / "docs" / "ADD_YOUR_OWN_MODEL.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)

exec(compile(BLOCKS[0], PAGE.name, "exec"))
