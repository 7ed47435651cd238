"""Runs the example of a README as its reader would: python readme_example.py README.md"""

import pathlib
import re
import sys

code = re.search(
    r"^```python\n(.*?)^```", pathlib.Path(sys.argv[1]).read_text("utf-8"), re.M | re.S
)
assert code is not None
exec(compile(code[1], sys.argv[1], "exec"), {"__name__": "__main__"})
