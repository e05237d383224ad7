"""Set up .venv with what requirements-dev.txt pins and Cello itself, editable.

Run by `make`, with any Python from 3.11 on: ``python3 tools/setup_venv.py .venv``. What it leaves
behind is either a complete environment with the file ``.setup-done`` in it, or one that the next
call repairs: a setup that was cut off is thrown away and done again.
"""

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUTS = [ROOT / "pyproject.toml", ROOT / "requirements-dev.txt", Path(__file__).resolve()]
LOUD = ("Downloading ", "Building ", "Installing collected", "Successfully installed")


def run(command, lock, log=None):
    """Run a command; show of its output only what tells about progress, or all if it fails."""
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        pass_fds=(lock.fileno(),),  # if this script is killed, the lock lasts as long as pip
    ) as process:
        for line in process.stdout:
            lines.append(line)
            if line.strip().startswith(LOUD):
                print(f"  {line.strip()[:96]}", flush=True)
    if log is not None:
        log.write_text("".join(lines), encoding="utf-8")
    if process.returncode != 0:
        sys.stderr.write("".join(lines))
        sys.exit("error: the setup failed at: " + " ".join(map(str, command)))


def take(lock):
    """Wait until no other setup of this environment runs."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another setup to end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def note(lock, text):
    """Replace what the lock file says: "unfinished" during a setup, nothing after it."""
    lock.seek(0)
    lock.truncate()
    lock.write(text)
    lock.flush()


def works(python):
    """Whether the environment's pip can be run."""
    command = [python, "-m", "pip", "--version"]
    return (
        python.exists()
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def install(name, venv, lock, anew):
    """Fill the environment; make it first if there is none that works."""
    python = venv / "bin" / "python"
    if anew or not works(python):
        print(f"Making {name} with Python {sys.version.split()[0]}", flush=True)
        run([sys.executable, "-m", "venv", "--clear", venv], lock)
    print(f"Installing into {name} (some minutes the first time)", flush=True)
    # One command, so that pip settles on the pinned torch before anything asks for any torch.
    options = ["--disable-pip-version-check", "--no-input"]
    # Of nineteen thousand modules few are ever imported: Python compiles those by itself.
    what = ["--no-compile", "--progress-bar", "off", "-r", "requirements-dev.txt", "-e", ".[dev]"]
    run([python, "-m", "pip", *options, "install", *what], lock, log=venv / "setup.log")


def main(name):
    """Bring the environment in folder `name` to what the pins say."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs before pip could say it
        sys.exit(f"error: Cello needs Python 3.11 or newer, this is {sys.version.split()[0]}")
    venv = ROOT / name
    done = venv / ".setup-done"
    with Path(f"{venv}.lock").open("a+", encoding="utf-8") as lock:
        take(lock)
        if done.exists() and done.stat().st_mtime >= max(path.stat().st_mtime for path in INPUTS):
            return  # the setup that was waited for has done it
        lock.seek(0)
        was_cut_off = lock.read() != ""
        note(lock, "unfinished")
        done.unlink(missing_ok=True)
        try:
            install(name, venv, lock, anew=was_cut_off)
            done.write_text("", encoding="utf-8")
        except KeyboardInterrupt:
            sys.exit("error: the setup was cut off; the next make starts it anew")
        except BaseException:
            note(lock, "")  # it failed by itself, and left no half of a package behind
            raise
        note(lock, "")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv")
