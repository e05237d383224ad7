import errno
import io
import os
import sys
from pathlib import Path

import pytest

from cello.streams import _Named, fill_standard_streams, lasting, named

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")


def closed_pipe(mode: str = "w"):
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, mode)


def close(file, stream) -> None:
    """Close both, although nobody takes what is in the buffer."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), file.fileno())
    stream.close()
    file.close()


@needs_full
def test_a_lasting_stream_drops_what_a_full_disk_does_not_take():
    with FULL.open("w") as file:
        stream = lasting(file)
        for _ in range(3):
            print("a line", file=stream, flush=True)


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_lasting_stream_drops_what_nobody_reads(buffering: int):
    reader, writer = os.pipe()
    binary = os.fdopen(writer, "wb", buffering)
    file = io.TextIOWrapper(binary, write_through=True)
    stream = lasting(file)
    print("first", file=stream, flush=True)
    assert os.read(reader, 100) == b"first\n"
    os.close(reader)
    print("second", file=stream, flush=True)
    stream.buffer.write(b"third\n")
    stream.flush()
    assert lasting(stream) is stream
    close(file, stream)


def test_what_is_no_plain_file_stays_as_it_is():
    stream = io.StringIO()
    assert lasting(stream) is stream
    assert named(stream) is stream


@needs_full
def test_errors_say_that_it_is_standard_output():
    file = FULL.open("w")
    stream = named(file)
    with pytest.raises(OSError, match="standard output cannot be written: No space left"):
        print("a line", file=stream, flush=True)
    close(file, stream)


def test_a_reader_that_has_gone_stays_a_broken_pipe():
    file = closed_pipe()
    stream = named(file)
    with pytest.raises(BrokenPipeError):
        print("a line", file=stream, flush=True)
    close(file, stream)


def test_closed_streams_are_the_null_device(monkeypatch: pytest.MonkeyPatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    fill_standard_streams()
    opened = (sys.stdin, sys.stdout, sys.stderr)
    assert [stream.name for stream in opened] == [os.devnull] * 3
    assert sys.stdin.read() == ""
    print("nowhere")
    for stream in opened:
        stream.close()


def test_on_windows_a_reader_that_is_gone_has_another_number(monkeypatch: pytest.MonkeyPatch):
    class Gone(io.FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

    class Output(_Named, Gone):
        pass

    with Output(os.devnull, "w") as output:
        for platform, error in (("linux", OSError), ("win32", BrokenPipeError)):
            monkeypatch.setattr(sys, "platform", platform)
            with pytest.raises(error) as caught:
                output.write(b"text")
            assert type(caught.value) is error
