"""What the processes of a run say to each other, over real sockets, without a process group."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from studio.runs.launch import Launch
from studio.runs.lines import Line, open_server
from studio.runs.team import Team
from trainers.errors import UserError
from trainers.processes import Processes


class Pair:
    """A main process and another one, both in this process, with the socket between them."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.line = Line(theirs)
        self.main = Team(Launch(Processes(0, 2), 0, 2), {1: Line(ours)})
        self.other = Team(Launch(Processes(1, 2), 1, 2), {0: self.line})


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)  # the lost process's news wakes the main thread by it
    found = Pair()
    yield found
    found.other.end(None)
    found.main.end(None)
    time.sleep(0.05)
    signal.signal(signal.SIGUSR1, before)


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not found():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_the_others_wait_as_long_as_the_main_process_draws(pair: Pair) -> None:
    heard: list[object] = []
    waiting = threading.Thread(target=lambda: heard.append(pair.other.share(None)))
    waiting.start()
    time.sleep(0.3)  # no time limit stands on a line, however long the samples take
    assert not heard
    assert pair.main.share("/runs/it") == "/runs/it"
    waiting.join(10)
    assert heard == ["/runs/it"]


def test_a_stop_asked_of_any_process_reaches_the_main_one(pair: Pair) -> None:
    assert not pair.main.stop_asked
    pair.other.ask_stop()
    until(lambda: pair.main.stop_asked)


def test_a_process_that_ends_in_order_is_not_lost(pair: Pair) -> None:
    pair.other.end(None)
    time.sleep(0.2)
    pair.main.check()
    assert pair.main.share(True) is True


def test_a_process_that_is_gone_is_told_at_once(pair: Pair) -> None:
    pair.line.close()
    until(pair.main.lost.is_set)
    with pytest.raises(UserError, match="Process 2 of 2 ended without a word"):
        pair.main.check()
    with pytest.raises(UserError, match="Process 2 of 2"), pair.main.explained():
        raise RuntimeError("Connection closed by peer")


def test_a_problem_of_another_process_is_told_by_the_main_one(pair: Pair) -> None:
    pair.other.end("There is no room on the GPU.", code=2)
    until(pair.main.lost.is_set)
    with pytest.raises(UserError, match=r"Process 2 of 2 cannot go on: There is no room on the GPU\."):
        pair.main.share(False)


def test_an_error_that_comes_before_the_news_of_the_loss_is_explained_by_it(pair: Pair) -> None:
    def fail() -> None:
        threading.Timer(0.2, pair.line.close).start()  # the news is slower than the library that misses the process
        with pair.main.explained():
            raise RuntimeError("Connection closed by peer")

    with pytest.raises(UserError, match="Process 2 of 2 ended without a word"):
        fail()


def test_an_error_that_no_loss_is_behind_stays_what_it_is(pair: Pair) -> None:
    with pytest.raises(UserError, match="wrong"), pair.main.explained():
        raise UserError("wrong")


def test_a_stranger_who_writes_nonsense_is_no_message(pair: Pair) -> None:
    with open_server("127.0.0.1") as server, socket.create_connection(server.getsockname()) as stranger:
        line = Line(server.accept()[0])
        stranger.sendall(b"GET / HTTP/1.1\n")
        assert line.receive() is None
        line.close()
