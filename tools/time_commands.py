"""How long the commands take that must answer at once, as a user sees them: from shell to prompt.

    python tools/time_commands.py

Help, the list of examples, a mistaken option and completion, each in 20 fresh processes, in turn;
one line each: the median, and the range. 0.3 s is wanted. The machine has to be quiet.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 20
CELLO = Path(sys.executable).parent / ("cello.exe" if sys.platform == "win32" else "cello")
COMPLETING = {"_CELLO_COMPLETE": "bash_complete", "COMP_WORDS": "cello tr", "COMP_CWORD": "1"}

#: Of each line: its name, the words after `cello`, what is set beside the environment, the exit
#: status, and a part of the answer, lest something else be timed.
COMMANDS = (
    ("cello --help", ["--help"], {}, 0, "Usage: cello"),
    ("cello example", ["example"], {}, 0, "lstm"),
    ("a mistaken option", ["train", "tag", "--hiden-size", "3"], {}, 2, "--hidden-size"),
    ("completion of `cello tr`", [], COMPLETING, 0, "train"),
)


def seconds(words, setting, status, part):
    """How long one run takes; it fails where the answer is another one."""
    begin = time.perf_counter()
    done = subprocess.run(
        [CELLO, *words], env=os.environ | setting, capture_output=True, encoding="utf-8"
    )
    took = time.perf_counter() - begin
    said = done.stdout + done.stderr
    if done.returncode != status or part not in said:
        sys.exit(f"cello {' '.join(words)} ended with {done.returncode} and said:\n{said}")
    return took


def main(rounds=ROUNDS):
    """Time each command in turn, after a run of each that is not counted."""
    taken = {name: [] for name, *_ in COMMANDS}
    for turn in range(rounds + 1):
        for name, *command in COMMANDS:
            took = seconds(*command)
            if turn:
                taken[name].append(took)
    for name, all_of_it in taken.items():
        low, middle, high = min(all_of_it), statistics.median(all_of_it), max(all_of_it)
        print(f"{name:32}{middle:.2f} s  ({low:.2f} to {high:.2f}, {rounds} runs)")


if __name__ == "__main__":
    main()
