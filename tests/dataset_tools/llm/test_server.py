"""The engine of OpenAI-compatible servers, and what the runner makes of a server's troubles."""

import json
import math
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from recbole_tema.dataset_tools.llm.engine import Stopped
from recbole_tema.dataset_tools.llm.request import Failure, Unreadable
from recbole_tema.dataset_tools.llm.server import ServerEngine
from recbole_tema.formats import FormatError

SCHEMA = {"type": "object", "properties": {"tags": {"type": "array"}}}
KEY = "very-secret-key-0123456789"


def reply_of(_, reply):
    return reply


def test_what_is_sent_and_what_comes(server, ask, question) -> None:
    server.script = lambda body: server.answer("hello", choice={"finish_reason": "length"})
    request = question("hi", messages=(("system", "be kind"), ("user", "hi")), max_tokens=7)
    (reply,) = ask([request], reply_of, temperature=0.5)
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("hello", 10, 5)
    assert reply.cut
    assert reply.probabilities is None
    assert server.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "be kind"},
                {"role": "user", "content": "hi"},
            ],
            "max_tokens": 7,
            "temperature": 0.5,
        }
    ]


def test_a_key_only_where_there_is_one(server, ask, question, monkeypatch) -> None:
    ask([question("a")])
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    ask([question("b")])
    assert "authorization" not in server.headers[0]
    assert server.headers[1]["authorization"] == f"Bearer {KEY}"


def test_thinking_stays_in_the_text_and_reasoning_fields_do_not(server, ask, question) -> None:
    server.script = server.in_turn(
        server.answer("<think>hm</think>\nyes"),
        server.answer("no", message={"reasoning_content": "long thoughts"}),
        server.answer(None),
        server.answer("half a \ud800 pair"),
    )
    texts = ask([question(name) for name in "abcd"], concurrency=1)
    assert texts == ["<think>hm</think>\nyes", "no", "", "half a ? pair"]


def test_a_schema_is_sent_as_far_as_the_server_takes_it(server, ask, question, caplog) -> None:
    refused = server.say({"error": {"message": "response_format json_schema unavailable"}}, 400)
    server.script = lambda body: (
        refused
        if body.get("response_format", {}).get("type") == "json_schema"
        else server.echo(body)
    )
    requests = [question(f"q{at}", schema=SCHEMA) for at in range(20)]
    assert len(ask(requests, concurrency=8)) == 20
    sent = [body["response_format"] for body in server.bodies]
    # One try with the schema, whatever was under way beside it.
    assert [each["type"] for each in sent] == ["json_schema"] + ["json_object"] * 20
    assert sent[0]["json_schema"]["schema"] == SCHEMA
    # JSON mode wants the word.
    assert server.bodies[1]["messages"][-1]["content"].endswith("Answer in JSON.")
    assert "refuses response_format json_schema; going on with json_object" in caplog.text


def test_a_server_without_structured_answers(server, ask, question) -> None:
    refused = server.say({"detail": "Extra inputs: response_format"}, 422)
    server.script = lambda body: refused if "response_format" in body else server.echo(body)
    assert ask([question("q", schema=SCHEMA)]) == ["you said q"]
    assert ["response_format" in body for body in server.bodies] == [True, True, False]


def test_other_names_and_missing_settings(server, ask, question) -> None:
    def strict(body):
        if "max_tokens" in body:
            return server.say({"error": {"message": "use 'max_completion_tokens' instead"}}, 400)
        if "temperature" in body:
            return server.say({"error": {"message": "Unsupported value: 'temperature'"}}, 400)
        return server.echo(body)

    server.script = strict
    assert ask([question("a"), question("b")], concurrency=1) == ["you said a", "you said b"]
    assert server.bodies[-1]["max_completion_tokens"] == 50
    assert len(server.bodies) == 4


def likely(token: str, **others: float) -> dict:
    top = [{"token": name, "logprob": math.log(share)} for name, share in others.items()]
    return {"token": token, "logprob": math.log(others[token]), "top_logprobs": top}


def test_probabilities_of_choices(server, ask, question) -> None:
    words = likely("Yes", **{"Yes": 0.5, " yes": 0.1, "No": 0.2, "maybe": 0.2})
    server.script = lambda body: server.answer("Yes", choice={"logprobs": {"content": [words]}})
    (reply,) = ask([question("q", choices=("yes", "no"))], reply_of, temperature=0.7)
    # (0.5 + 0.1) / 0.8 and 0.2 / 0.8, worked out by hand.
    assert reply.probabilities == pytest.approx({"yes": 0.75, "no": 0.25})
    assert (server.bodies[0]["logprobs"], server.bodies[0]["top_logprobs"]) == (True, 20)
    assert server.bodies[0]["temperature"] == 0


def test_fewer_likely_tokens(server, ask, question) -> None:
    words = likely("no", no=0.4, yes=0.1)

    def five_at_most(body):
        if body["top_logprobs"] > 5:
            return server.say({"error": {"message": "top_logprobs must be at most 5"}}, 400)
        return server.answer("no", choice={"logprobs": {"content": [words]}})

    server.script = five_at_most
    (reply,) = ask([question("q", choices=("yes", "no"))], reply_of)
    assert reply.probabilities == pytest.approx({"yes": 0.2, "no": 0.8})


def test_a_server_without_logprobs_is_asked_for_them_once(server, ask, question, caplog) -> None:
    server.script = lambda body: server.answer("yes")
    requests = [question(f"q{at}", choices=("yes", "no")) for at in range(5)]
    replies = ask(requests, reply_of, concurrency=4)
    assert [(reply.text, reply.probabilities) for reply in replies] == [("yes", None)] * 5
    asked = [body for body in server.bodies if "questions" not in body]
    assert ["logprobs" in body for body in asked] == [True] + [False] * 4
    # Neither has it an endpoint for choices.
    assert len(server.bodies) == 6
    assert "gives no log-probabilities" in caplog.text


def test_an_endpoint_for_choices_is_used_where_there_are_no_logprobs(server, ask, question) -> None:
    def with_scores(body):
        if "questions" not in body:
            return server.answer("yes")
        shares = {"yes": 0.2, "no": 0.8} if "bag" in body["state"] else {"yes": 0.9, "no": 0.1}
        answer = {"type": "choice", "choice": "x", "probabilities": shares}
        return server.say({"answers": {"answer": answer}, "usage": {"input_tokens": 7}})

    server.script = with_scores
    requests = [question(text, choices=("yes", "no")) for text in ("bag", "tea", "bags")]
    replies = ask(requests, reply_of, concurrency=1)
    assert [reply.probabilities for reply in replies] == [
        pytest.approx({"yes": 0.2, "no": 0.8}),
        pytest.approx({"yes": 0.9, "no": 0.1}),
        pytest.approx({"yes": 0.2, "no": 0.8}),
    ]
    assert [reply.text for reply in replies] == ["no", "yes", "no"]
    # The words that brought no probabilities were paid for too.
    assert [reply.input_tokens for reply in replies] == [17, 7, 7]
    # The words were asked for once.
    assert ["questions" in body for body in server.bodies] == [False, True, True, True]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_by_all(server, ask, question, status) -> None:
    server.script = server.in_turn(server.say("slow down", status, {"Retry-After": "1"}))
    seen = []
    assert ask([question("a"), question("b")], concurrency=1, seen=seen) == [
        "you said a",
        "you said b",
    ]
    assert server.times[1] - server.times[0] >= 1.0
    assert seen[0].retries == 1


def test_retry_after_in_milliseconds_and_as_a_date(server, ask, question) -> None:
    def script(body):
        if len(server.bodies) == 1:
            return server.say("", 429, {"retry-after-ms": "300", "Retry-After": "9"})
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
        return (
            server.say("", 429, {"Retry-After": soon})
            if len(server.bodies) == 2
            else server.echo(body)
        )

    server.script = script
    assert ask([question("a")]) == ["you said a"]
    assert 0.3 <= server.times[1] - server.times[0] < 9
    assert server.times[2] - server.times[1] >= 0.3


def test_a_wait_of_hours_ends_the_run(server, ask, question, store_path) -> None:
    server.script = lambda body: server.say("", 429, {"Retry-After": "7200"})
    with pytest.raises(Stopped, match=r"asks to wait for 7,\d\d\d s.*kept in .*x.llm.sqlite"):
        ask([question("a")])
    assert len(server.bodies) == 1


def test_errors_that_pass(server, ask, question) -> None:
    server.script = server.in_turn(
        server.say("oops", 500),
        server.say(None),
        server.say("<html>no JSON", 200),
        server.say("<html>", 200, {"Content-Type": "text/html"}),
        server.say({"object": "nothing"}),
        server.say({"error": {"code": 502, "message": "upstream"}}),
        server.say({"choices": []}),
    )
    seen = []
    assert ask([question("a")], seen=seen) == ["you said a"]
    assert len(server.bodies) == 8
    assert (seen[0].retries, seen[0].asked) == (7, 1)


def test_why_it_takes_long_is_logged_once(server, ask, question, caplog) -> None:
    server.script = server.in_turn(*(server.say("oops", 500) for _ in range(3)))
    ask([question("a")])
    said = [each for each in caplog.records if each.name.startswith("recbole_tema.")]
    assert [record.message.split(";")[0] for record in said] == [
        f"{server.address}: status 500: oops"
    ]


def test_a_body_that_is_not_called_json(server, ask, question) -> None:
    body = json.dumps(server.completion("hello"))
    server.script = lambda _: server.say(body, headers={"Content-Type": "text/plain"})
    assert ask([question("a")]) == ["hello"]


def test_timeouts(server, ask, question) -> None:
    server.script = server.in_turn(server.say(server.completion("late"), delay=3.0))
    assert ask([question("a")], timeout=1.0) == ["you said a"]


def test_a_question_that_always_fails_is_a_failure_beside_others(server, ask, question) -> None:
    server.script = lambda body: (
        server.say("boom", 500) if server.said(body) == "bad" else server.echo(body)
    )
    results = ask([question("a"), question("bad"), question("b")], concurrency=1, max_retries=2)
    assert results[::2] == ["you said a", "you said b"]
    assert results[1] == Failure("status 500: boom", "")
    assert sum(server.said(body) == "bad" for body in server.bodies) == 3


def test_a_server_that_is_gone_ends_the_run(server, ask, question, store_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server.address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        # Kept, so that nobody else listens there.
        with pytest.raises(Stopped, match="does not answer: the connection failed"):
            ask([question("a")], max_retries=1)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"error": {"message": f"Incorrect API key {KEY}"}}, r"does not take the API key in"),
        (403, {"error": {"message": f"{KEY} may not"}}, "status 403"),
        (404, {"error": {"message": f"no model; {KEY}"}}, "no model m there"),
        (402, {"error": {"message": "Insufficient Balance"}}, "nothing left to spend"),
        (429, {"error": {"code": "insufficient_quota"}}, "nothing left to spend"),
    ],
)
def test_what_no_question_can_pass_ends_the_run(
    server, ask, question, monkeypatch, store_path, status, body, message
) -> None:
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    server.script = lambda _: server.say(body, status)
    with pytest.raises(Stopped, match=message) as stopped:
        ask([question(f"q{at}") for at in range(50)], concurrency=1)
    assert len(server.bodies) == 1
    assert KEY not in str(stopped.value)
    assert KEY.encode() not in store_path.read_bytes()


def test_a_server_that_wants_a_key(server, ask, question) -> None:
    server.script = lambda _: server.say({"error": "no key"}, 401)
    with pytest.raises(Stopped, match=r"wants an API key, none is in \$TEST_LLM_KEY"):
        ask([question("a")])


def test_a_400_for_every_question_ends_the_run(server, ask, question) -> None:
    server.script = lambda _: server.say({"error": {"message": "bad field"}}, 400)
    with pytest.raises(Stopped, match=r"answers no question: status 400.*bad field"):
        ask([question(f"q{at}") for at in range(50)], concurrency=1)
    assert len(server.bodies) == 3


def test_a_400_for_one_question_is_its_failure(server, ask, question) -> None:
    too_long = {"error": {"message": "maximum context length is 10 tokens"}}
    server.script = lambda body: (
        server.say(too_long, 400) if server.said(body).startswith("long") else server.echo(body)
    )
    texts = ["long 1", "long 2", "long 3", "long 4", "a"]
    results = ask([question(text) for text in texts], concurrency=1)
    assert [type(result) for result in results] == [Failure] * 4 + [str]
    assert results[0].reason.startswith("too long (status 400")


def test_content_filters_are_the_items_and_kept(server, ask, question) -> None:
    filtered = server.say({"error": {"code": "content_filter", "message": "no"}}, 400)
    stopped = server.answer("Sure, I", choice={"finish_reason": "content_filter"})
    refusal = server.answer(None, message={"refusal": "I cannot"})
    by_text = {"a": filtered, "b": stopped, "c": refusal}
    server.script = lambda body: by_text.get(server.said(body)) or server.echo(body)
    requests = [question(text) for text in "abcd"]
    first = ask(requests, concurrency=1)
    assert [result.reason[:14] for result in first[:3]] == [
        "content filter",
        "content filter",
        "refused: I can",
    ]
    assert (first[1].text, first[3]) == ("Sure, I", "you said d")
    assert ask(requests) == first
    assert len(server.bodies) == 4


def test_unreadable_answers_are_asked_for_again_and_kept(server, ask, question) -> None:
    server.script = server.in_turn(*(server.answer(f"bad {at}") for at in (1, 2)))

    def read(_, reply):
        if reply.text.startswith("bad"):
            raise Unreadable(f"got\n{reply.text}")
        return reply.text

    (good,) = ask([question("hi")], read)
    assert good.startswith("you said hi\n\n(Your last answer could not be used: got bad 2. Answer")
    assert [body["temperature"] for body in server.bodies] == [0, 0.3, 0.6]
    assert ask([question("hi")], read) == [good]
    assert len(server.bodies) == 3


def test_answers_that_stay_unreadable_are_failures(server, ask, question) -> None:
    server.script = lambda _: server.answer("cut off", choice={"finish_reason": "length"})

    def read(_, reply):
        raise Unreadable("no list")

    seen = []
    assert ask([question("hi")], read, max_attempts=2, seen=seen) == [Failure("no list", "cut off")]
    # What was cut off gets more room.
    assert [body["max_tokens"] for body in server.bodies] == [50, 100]
    assert (seen[0].failures, seen[0].asked) == (1, 2)
    # Known without asking; with more attempts it is asked again.
    assert ask([question("hi")], read, max_attempts=2, seen=seen) == [Failure("no list", "cut off")]
    assert len(server.bodies) == 2
    ask([question("hi")], read, max_attempts=3)
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    "address",
    ["https://me:secret@host/v1", "https://secret@host/v1", "https://host/v1?api_key=secret"],
)
def test_addresses_with_secrets_are_refused(address) -> None:
    with pytest.raises(FormatError, match="more than an address") as refused:
        ServerEngine(address, "m", "TEST_LLM_KEY", 1.0)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["ftp://host/v1", "localhost:8000", "http://", "http://a:x/"])
def test_what_is_no_address(address) -> None:
    with pytest.raises(FormatError, match="expected an address such as"):
        ServerEngine(address, "m", "TEST_LLM_KEY", 1.0)


def test_a_key_that_no_header_can_hold(monkeypatch) -> None:
    monkeypatch.setenv("TEST_LLM_KEY", "schlüssel")
    with pytest.raises(FormatError, match=r"\$TEST_LLM_KEY: no API key") as refused:
        ServerEngine("http://h/v1", "m", "TEST_LLM_KEY", 1.0)
    assert "schl" not in str(refused.value)


def test_a_server_that_says_the_key_back(server, ask, question, monkeypatch) -> None:
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    server.script = lambda body: server.say(f"{KEY} sk-abcdefgh failed", 500)
    with pytest.raises(Stopped, match=r"status 500: \*\*\* \*\*\* failed"):
        ask([question("a")], max_retries=0)
