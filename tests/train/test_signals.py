import signal
import threading

import pytest

from cello.train.signals import Signals

pytestmark = pytest.mark.usefixtures("ctrl_c")


def test_the_first_signal_is_noted_and_the_second_interrupts():
    with Signals() as signals:
        assert signals.received is None
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        assert signals.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_at_once():
    with Signals() as signals:
        with pytest.raises(KeyboardInterrupt), signals.at_once():
            signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        entered = False
        with pytest.raises(KeyboardInterrupt), signals.at_once():  # it was noted before
            entered = True
        assert not entered
        with signals.at_once(enabled=False):
            entered = True
        assert entered


def test_afterwards_a_signal_is_noted_again():
    with Signals() as signals:
        with signals.at_once():
            pass
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Signals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received is None


def test_in_another_thread_nothing_is_done():
    handlers = []

    def inside() -> None:
        with Signals():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
