"""Make the drawings in docs/images anew, by the code that the documents show: `make pictures`."""

import contextlib
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests import docs_checker  # noqa: E402


def main() -> None:
    """Run each document that shows drawings, and keep what it draws."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        wanted = docs_checker.drawings(path)
        if not wanted or ".zh-CN" in path.name:  # a translation has the same code
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            docs_checker.check(path)
            for name in wanted:
                target = ROOT / "docs" / "images" / name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(Path(name).read_bytes())
        print(f"{path.name}: {len(wanted)} drawings")


if __name__ == "__main__":
    main()
