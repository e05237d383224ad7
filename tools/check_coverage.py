"""Name the modules of which tests reach less than 85 % of the lines, given a report in JSON."""

import json
import sys
from pathlib import Path

LEAST = 85.0


def main(path):
    """Print them; return how many there are."""
    files = json.loads(Path(path).read_text(encoding="utf-8"))["files"]
    shares = {name: about["summary"]["percent_covered"] for name, about in files.items()}
    low = {name: share for name, share in sorted(shares.items()) if share < LEAST}
    for name, share in low.items():
        print(f"{name}: {share:.0f} % of its lines are reached, less than {LEAST:.0f} %")
    return len(low)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
