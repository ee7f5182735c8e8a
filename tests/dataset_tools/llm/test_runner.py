"""The runner: order, what is asked once, stopping, cost, limits; against a server on 127.0.0.1."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from recbole_tema.dataset_tools.llm.engine import Stopped
from recbole_tema.dataset_tools.llm.prices import Price
from recbole_tema.dataset_tools.llm.request import Failure
from recbole_tema.dataset_tools.llm.runner import WINDOW, Runner
from recbole_tema.dataset_tools.llm.server import ServerEngine
from recbole_tema.dataset_tools.llm.settings import RunnerSettings
from recbole_tema.dataset_tools.llm.store import Store
from recbole_tema.formats import FormatError


def text_of(_, reply):
    return reply.text


@pytest.fixture
def runner(server, store_path) -> Iterator[Runner]:
    engine = ServerEngine(server.address, "m", "TEST_LLM_KEY", 5.0)
    with Store(store_path) as store, Runner(engine, store, RunnerSettings(concurrency=4)) as made:
        yield made


def test_answers_come_in_order_and_as_many_at_once_as_told(server, ask, question) -> None:
    numbers = itertools.count()
    first = threading.Barrier(6, timeout=30)

    def slow(body):
        number = next(numbers)
        if number < 6:
            first.wait()  # none is answered before all are asked
        return replace(server.echo(body), delay=(0.2, 0.0, 0.1, 0.0)[number % 4])

    server.script = slow
    results = ask([question(f"q{at}") for at in range(40)], concurrency=6)
    assert results == [f"you said q{at}" for at in range(40)]
    assert server.most_open == 6


def test_a_second_run_asks_nothing_and_needs_no_server(server, ask, question) -> None:
    seen = []
    requests = [question(f"q{at}") for at in range(20)]
    first = ask(requests, seen=seen)
    server.address = "http://127.0.0.1:9/v1"
    assert ask(requests, seen=seen) == first
    assert len(server.bodies) == 20
    one, two = seen
    assert (one.requests, one.stored, one.asked) == (20, 0, 20)
    assert (one.input_tokens, one.output_tokens) == (200, 100)
    assert (two.requests, two.stored, two.asked, two.input_tokens) == (20, 20, 0, 0)


def test_the_same_question_is_asked_once(server, ask, question) -> None:
    seen = []
    server.script = lambda body: replace(server.echo(body), delay=0.1)
    requests = [question("q", subject=name) for name in "abcdef"]
    assert ask(requests, seen=seen) == ["you said q"] * 6
    assert len(server.bodies) == 1
    assert (seen[0].asked, seen[0].stored) == (1, 5)


def test_two_runs_share_the_work(server, ask, question) -> None:
    server.script = lambda body: replace(server.echo(body), delay=0.02)
    requests = [question(f"q{at}") for at in range(60)]
    results = {}
    threads = [
        threading.Thread(target=lambda name=name: results.update({name: ask(requests)}))
        for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results["a"] == results["b"] == [f"you said q{at}" for at in range(60)]
    assert len(server.bodies) == 60


def test_requests_are_taken_as_answers_leave(runner, question) -> None:
    taken = 0

    def many():
        nonlocal taken
        for at in range(3 * WINDOW):
            taken += 1
            yield question(f"q{at % 50}")

    answers = runner.ask_all(many(), text_of)
    assert next(answers)[1] == "you said q0"
    assert taken <= WINDOW + 1
    assert sum(1 for _ in answers) == 3 * WINDOW - 1


def test_results_may_be_asked_about(runner, question) -> None:
    first = runner.ask_all([question("a"), question("b")], text_of)
    second = runner.ask_all((question(result, stage="next") for _, result in first), text_of)
    assert [result for _, result in second] == ["you said you said a", "you said you said b"]
    assert {stage: usage.asked for stage, usage in runner.by_stage.items()} == {
        "test": 2,
        "next": 2,
    }
    assert runner.usage.asked == 4


def test_an_error_of_the_reader_is_not_swallowed(runner, question) -> None:
    def broken(_, reply):
        raise KeyError(reply.text)

    with pytest.raises(KeyError, match="you said a"):
        list(runner.ask_all([question("a")], broken))


def test_what_is_in_flight_is_kept_when_the_caller_leaves(
    server, ask, question, store_path
) -> None:
    answered = threading.Event()

    def held(body):
        answered.wait(30)
        return server.echo(body)

    server.script = held

    def leave():
        yield from (question(f"q{at}") for at in range(4))
        while len(server.bodies) < 2:
            time.sleep(0.01)
        # When the run has long been left, and within its grace of 5 s.
        threading.Timer(1.5, answered.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(leave(), concurrency=2)
    assert len(server.bodies) == 2
    server.script = server.echo
    assert ask([question("q0"), question("q1")]) == ["you said q0", "you said q1"]
    assert len(server.bodies) == 2


def test_sigterm_ends_the_run_and_keeps_what_arrives(server, ask, question, store_path) -> None:
    def terminate(body):
        if server.said(body) == "q1":
            os.kill(os.getpid(), signal.SIGTERM)
        return replace(server.echo(body), delay=0.2)

    server.script = terminate
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        ask([question(f"q{at}") for at in range(50)], concurrency=2)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler
    asked = len(server.bodies)
    assert asked < 10
    server.script = server.echo
    ask([question(f"q{at}") for at in range(50)])
    assert len(server.bodies) == 50


def test_answers_that_take_longer_than_the_grace_are_given_up(server, ask, question) -> None:
    server.script = lambda body: replace(server.echo(body), delay=60.0)

    def leave():
        yield question("q")
        time.sleep(0.1)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ask(leave(), grace=0.1)
    assert time.monotonic() - began < 30


PRICE = Price(input=1000.0, output=2000.0)
"""An answer of the test server costs 10 · 0.001 + 5 · 0.002 = 0.02."""


def test_cost_is_counted(ask, question) -> None:
    seen = []
    ask([question("a"), question("b")], price=PRICE, seen=seen)
    assert seen[0].cost == pytest.approx(0.04)
    assert "20 + 10 tokens, 0.0400 USD" in str(seen[0])


def test_max_cost_is_not_exceeded_and_one_can_go_on(server, ask, question, store_path) -> None:
    seen = []
    requests = [question(f"q{at}", max_tokens=5) for at in range(100)]
    # A question may cost 66 or 67 bytes · 0.001 + 5 tokens · 0.002: below 0.08, and costs 0.02.
    with pytest.raises(Stopped, match=r"before --max-cost 0.5000 USD is exceeded.*higher --max"):
        ask(requests, price=PRICE, max_cost=0.5, seen=seen)
    assert 0.5 - 0.08 < seen[0].cost <= 0.5
    asked = len(server.bodies)
    assert seen[0].asked == asked
    assert len(ask(requests, price=PRICE, max_cost=5.0)) == 100
    assert len(server.bodies) == 100


def test_answers_that_never_came_count_at_their_most(server, ask, question) -> None:
    server.script = server.in_turn(server.say(None), server.say(None))
    # Each lost one may have cost 0.065 + 0.1: two of them leave no room for a third.
    with pytest.raises(Stopped, match=r"stopped at 0\.33"):
        ask([question("a")], price=PRICE, max_cost=0.4)
    assert len(server.bodies) == 2


def test_a_limit_on_cost_needs_a_price(ask, question) -> None:
    with pytest.raises(FormatError, match="the price of m is not known"):
        ask([question("a")], max_cost=1.0)


def test_an_estimate_asks_nothing(server, store_path, question) -> None:
    engine = ServerEngine(server.address, "m", "TEST_LLM_KEY", 5.0)
    requests = [question("1234567" * at, max_tokens=40) for at in (1, 2, 2, 3)]
    with Store(store_path) as store, Runner(engine, store, price=PRICE) as runner:
        before = runner.estimate("test", requests)
        list(runner.ask_all(requests[:1], text_of))
        after = runner.estimate("test", requests)
    # 7 characters are 2 tokens, and 4 for the message.
    assert (before.requests, before.stored, before.input_tokens) == (3, 0, 6 + 8 + 10)
    assert (before.output_tokens, before.measured) == (120, 0)
    assert before.cost == before.most_cost == pytest.approx(0.024 + 0.24)
    # Now an answer of 5 tokens is there.
    assert (after.requests, after.stored, after.to_ask, after.input_tokens) == (3, 1, 2, 18)
    assert (after.output_tokens, after.most_output_tokens, after.measured) == (10, 80, 1)
    assert after.cost == pytest.approx(0.018 + 0.02)


def test_an_estimate_of_nothing_has_its_stage(server, store_path) -> None:
    engine = ServerEngine(server.address, "m", "TEST_LLM_KEY", 5.0)
    with Store(store_path) as store, Runner(engine, store, price=PRICE) as runner:
        assert str(runner.estimate("refine", [])).startswith("refine: 0 questions to ask (0 of 0 ")


def test_answers_longer_than_allowed_raise_the_most(server, store_path, question) -> None:
    engine = ServerEngine(server.address, "m", "TEST_LLM_KEY", 5.0)
    requests = [question(word, max_tokens=2) for word in ("a", "b", "c")]
    with Store(store_path) as store, Runner(engine, store, price=PRICE) as runner:
        list(runner.ask_all(requests[:1], text_of))
        after = runner.estimate("test", requests)
    # The server counts 5 tokens in each answer.
    assert (after.output_tokens, after.most_output_tokens) == (10, 10)
    assert len(server.bodies) == 1
    assert str(after).startswith("test: 2 questions to ask (1 of 3 answered before)")


def test_requests_a_minute(server, ask, question) -> None:
    # Five at once at the beginning, then one each fifth of a second.
    began = time.monotonic()
    ask([question(f"q{at}") for at in range(15)], requests_per_minute=300)
    assert server.times[-1] - began >= 1.95


def test_tokens_a_minute(server, ask, question) -> None:
    # 5 + 50 tokens are expected of the first, 5 + 5 of the second; 25 a second are let through.
    began = time.monotonic()
    ask([question("a"), question("b")], tokens_per_minute=1500, concurrency=1)
    first, second = (at - began for at in server.times)
    assert first >= 1.15
    assert second >= 1.55


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concurrency": 0}, "--concurrency must be 1 or more"),
        ({"requests_per_minute": 0}, "--requests-per-minute must be above 0"),
        ({"temperature": 3.0}, "--temperature must be from 0 to 2"),
        ({"max_attempts": 0, "max_cost": -1}, "--max-attempts must be 1 or more; --max-cost"),
    ],
)
def test_settings_that_make_no_sense(settings, message) -> None:
    with pytest.raises(FormatError, match=message):
        RunnerSettings(**settings)


def test_failures_are_yielded_in_their_place(server, ask, question) -> None:
    server.script = lambda body: (
        server.answer(None, message={"refusal": "never"})
        if server.said(body) == "q1"
        else server.echo(body)
    )
    seen = []
    results = ask([question(f"q{at}") for at in range(3)], seen=seen)
    assert results == ["you said q0", Failure("refused: never", ""), "you said q2"]
    assert seen[0].failures == 1
