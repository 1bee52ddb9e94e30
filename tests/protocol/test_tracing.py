"""Traces of real servers, as a real OTLP receiver gets them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.tracing import is_wanted
from tests.engine_proxy import EngineProxy, Fault
from tests.otlp import Receiver, Sent
from tests.protocol.servers import (
    NO_COMMAND,
    ROOT,
    Era,
    HttpServer,
    Message,
    Process,
    RawHttp,
    StdioServer,
    message,
    running,
)
from tests.protocol.test_approvals import asking_and_approving
from tests.real.stack_files import one_service
from tests.waiting import wait_for

PARENT = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[HttpServer]:
    server = HttpServer(tmp_path_factory.mktemp("traced"), **receiver.variables)
    with running(server):
        yield server


def parent(trace_id: str) -> str:
    return f"00-{trace_id}-{PARENT}-01"


def call(tool: str, trace_id: str, **arguments: object) -> Message:
    return {"name": tool, "arguments": arguments, "_meta": {"traceparent": parent(trace_id)}}


def the_span(receiver: Receiver, trace_id: str, name: str) -> Sent:
    wait_for(lambda: name in [span.name for span in receiver.of(trace_id)], what=f"{name} of {trace_id}")
    (found,) = [span for span in receiver.of(trace_id) if span.name == name]
    return found


@pytest.mark.engine
def test_a_change_is_a_tree_from_the_clients_span_to_the_engines_requests(
    traced: HttpServer, receiver: Receiver, container: str
) -> None:
    trace_id = "a1" * 16
    arguments = {"container_name": container, "timeout": 0}
    answer = RawHttp(traced, "modern").ask("tools/call", call("stop-container", trace_id, **arguments))["result"]
    tree = receiver.tree(trace_id, "tools/call stop-container")
    assert tree[""] == ["tools/call stop-container"]
    assert tree["tools/call stop-container"] == ["policy", "projector stop-container"]
    below = tree["projector stop-container"]
    assert below.count("INSERT event") == 3, "received and decided, started, ended"
    assert {"GET /containers/{id}/json", "POST /containers/{id}/stop"} < set(below)
    (stop,) = [span for span in receiver.of(trace_id) if span.name == "POST /containers/{id}/stop"]
    assert (stop.kind, stop.attributes) == (
        "CLIENT",
        {
            "http.request.method": "POST",
            "url.template": "/containers/{id}/stop",
            "server.address": "localhost",
            "http.response.status_code": 204,
        },
    )
    server_span = the_span(receiver, trace_id, "tools/call stop-container")
    assert (server_span.kind, server_span.parent_id) == ("SERVER", PARENT)
    command_id = answer["_meta"]["docker-mcp/command-id"]
    assert server_span.attributes["docker_mcp.command.id"] == command_id
    recorded = traced.records.of(command_id)
    assert {(row.trace_id, row.span_id) for row in recorded} == {(trace_id, server_span.span_id)}
    inserts = [span for span in receiver.of(trace_id) if span.name == "INSERT event"]
    assert sum(span.attributes["db.operation.batch.size"] for span in inserts) == len(recorded)
    assert {span.attributes["db.system.name"] for span in inserts} == {"sqlite"}
    assert server_span.resource["service.name"] == "docker-mcp"
    assert container not in str(receiver.of(trace_id)), "names of objects stand in the log alone"


@pytest.mark.engine
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_header_is_honoured_and_the_one_in_the_message_comes_first(
    traced: HttpServer, receiver: Receiver, era: Era
) -> None:
    by_header, by_message = ("b1" * 16, "b2" * 16) if era == "legacy" else ("b3" * 16, "b4" * 16)
    talk = RawHttp(traced, era)

    def ask(params: Message) -> None:
        headers = {**talk.headers("tools/call", params), "traceparent": parent(by_header)}
        assert traced.post(json.dumps(message("tools/call", params, era, 7)).encode(), headers)[0] == 200

    ask(NO_COMMAND)
    ask(call("list-containers", by_message))
    assert the_span(receiver, by_header, "tools/call get-command").parent_id == PARENT
    assert "projector list-containers" in receiver.tree(by_message, "tools/call list-containers")
    traces = {row.tool: row.trace_id for row in traced.records.rows() if row.trace_id in (by_header, by_message)}
    assert traces == {"get-command": by_header, "list-containers": by_message}


@pytest.mark.engine
def test_compose_and_its_end_are_spans(
    traced: HttpServer, receiver: Receiver, image: str, name: Callable[[str], str]
) -> None:
    trace_id = "c1" * 16
    talk = RawHttp(traced, "modern")
    deployment = call("deploy-compose", trace_id, project_name=name("s"), compose_yaml=json.dumps(one_service(image)))
    answer = talk.ask("tools/call", deployment)["result"]
    assert not answer.get("isError"), answer
    talk.ask("tools/call", call("compose-down", "c2" * 16, project_name=name("s")))
    up = the_span(receiver, trace_id, "compose up")
    assert up.attributes == {"process.executable.name": "docker-compose", "process.exit.code": 0}
    rendered = [span for span in receiver.of(trace_id) if span.name == "compose config"]
    assert {span.failed for span in rendered} == {False}
    assert the_span(receiver, "c2" * 16, "compose down").failed is False


@pytest.mark.engine
def test_what_fails_is_marked_without_its_words(traced: HttpServer, receiver: Receiver) -> None:
    trace_id = "d1" * 16
    RawHttp(traced, "modern").ask("tools/call", call("stop-container", trace_id, container_name="no-such-thing"))
    projector = the_span(receiver, trace_id, "projector stop-container")
    asked = the_span(receiver, trace_id, "GET /containers/{id}/json")
    assert (projector.failed, projector.attributes["error.type"]) == (True, "container_not_found")
    assert (asked.failed, asked.attributes["error.type"]) == (True, "404")
    assert "no-such-thing" not in str(receiver.of(trace_id))


@pytest.mark.engine
def test_a_denial_is_seen_at_the_policy(tmp_path: Path, receiver: Receiver) -> None:
    trace_id = "d2" * 16
    server = StdioServer(tmp_path, DOCKER_MCP_STDIO_ROLE="user", **receiver.variables)
    with running(server):
        server.ask("tools/call", call("network-create", trace_id, name="never"))
        policy = the_span(receiver, trace_id, "policy")
        assert policy.attributes == {"docker_mcp.policy.verdict": "deny", "docker_mcp.policy.rule": "role-user"}
        assert the_span(receiver, trace_id, "INSERT event").attributes["db.operation.batch.size"] == 2


@pytest.mark.promise("P6")
def test_no_caller_names_a_span(traced: HttpServer, receiver: Receiver) -> None:
    talk, trace_id = RawHttp(traced, "modern"), "e1" * 16
    meta = {"_meta": {"traceparent": parent(trace_id)}}
    for method in ("tools/call", "prompts/get", "tools/list"):
        talk.ask(method, {"name": "hostile-name", **meta})

    def served() -> list[str]:
        return [span.name for span in receiver.of(trace_id) if span.kind == "SERVER"]

    wait_for(lambda: len(served()) >= 3, what="the spans")
    assert set(served()) == {
        "tools/call _unknown",
        "prompts/get _unknown",
        "tools/list",
    }
    assert "hostile-name" not in str(receiver.of(trace_id))


@pytest.mark.engine
def test_a_command_that_another_process_settles_is_linked_to_where_it_came_from(
    tmp_path: Path, receiver: Receiver, proxy: EngineProxy
) -> None:
    trace_id = "f1" * 16
    given: dict[str, Any] = {**receiver.variables, "DOCKER_HOST": proxy.url}
    first = StdioServer(tmp_path, **given)
    with running(first):
        proxy.fail("GET .*/containers/json", Fault.HANG)
        first.send("tools/call", call("list-containers", trace_id))
        wait_for(lambda: "running" in [row.status for row in first.records.rows()], what="the start")
    (begun,) = [row for row in first.records.rows() if row.status == "running"]
    second = StdioServer(tmp_path, **receiver.variables)
    with running(second):
        second.records.outcome(begun.stream)
        wait_for(lambda: "settle list-containers" in [span.name for span in receiver.spans()], what="the span")
    (settled,) = [span for span in receiver.spans() if span.name == "settle list-containers"]
    assert settled.links == [(trace_id, begun.span_id)]
    assert settled.trace_id != trace_id
    assert settled.attributes["docker_mcp.command.id"] == begun.stream
    assert "INSERT event" in receiver.tree(settled.trace_id, "settle list-containers")["settle list-containers"]
    assert {row.trace_id for row in second.records.of(begun.stream)} == {trace_id}


@pytest.mark.engine
def test_an_approved_command_belongs_to_the_approval_and_is_linked_to_the_request(
    tmp_path: Path, receiver: Receiver, container: str
) -> None:
    asked, approved = "f2" * 16, "f3" * 16
    with asking_and_approving("stdio", tmp_path, **receiver.variables) as (asker, approver):
        told = asker.ask("tools/call", call("remove-container", asked, container_name=container, force=True))["result"]
        command_id = told["structuredContent"]["command_id"]
        approver.ask("tools/call", call("approvals-approve", approved, command_id=command_id))
        resumed = the_span(receiver, approved, "approved remove-container")
        assert resumed.links == [(asked, the_span(receiver, asked, "tools/call remove-container").span_id)]
        assert "DELETE /containers/{id}" in str(receiver.tree(approved, "projector remove-container"))


def test_the_last_spans_are_sent_before_a_server_ends(tmp_path: Path, receiver: Receiver) -> None:
    trace_id = "91" * 16
    slow: dict[str, Any] = {**receiver.variables, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    server = StdioServer(tmp_path, OTEL_SERVICE_NAME="mine", OTEL_EXPORTER_OTLP_HEADERS="x-key=abc", **slow)
    with running(server):
        server.ask("tools/call", call("get-command", trace_id, **NO_COMMAND["arguments"]))
        server.close_input()
        assert server.exit_code() == 0
    assert the_span(receiver, trace_id, "tools/call get-command").resource["service.name"] == "mine"
    assert receiver.headers[-1]["x-key"] == "abc"


@pytest.mark.promise("P9")
def test_a_collector_that_is_not_there_holds_nothing_up(tmp_path: Path) -> None:
    server = StdioServer(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    with running(server):
        answer = server.ask("tools/call", call("get-command", "92" * 16, **NO_COMMAND["arguments"]))
        assert answer["result"]["structuredContent"]["error"]["code"] == "command_not_found"
        server.signal()
        assert server.exit_code() == 0
        assert all(json.loads(line) for line in server.raw_lines), "nothing but messages on standard output"


@pytest.mark.promise("P9")
def test_a_collector_that_never_answers_delays_the_end_by_seconds_only() -> None:
    program = (
        "import time; from adapters.tracing import start_tracing; end = start_tracing('0')\n"
        "from opentelemetry import trace; trace.get_tracer('t').start_span('s').end()\n"
        "began = time.monotonic(); end(); print(time.monotonic() - began, flush=True)\n"
        "import os; os._exit(0)"
    )
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment
        )
    assert 1.5 < float(done.stdout) < 8, done.stderr


def test_a_protocol_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://secret@127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    server = Process(["server", "stdio"], tmp_path, **given)
    with running(server):
        assert server.exit_code() == 2
    assert "http/protobuf" in server.stderr()
    assert "secret" not in server.stderr()


def test_who_asks_for_no_traces_pays_for_none() -> None:
    program = (
        "import sys, server.cli.main as cli, server.bootstrap, server.mcp_server, server.stdio\n"
        "cli.start_tracing('0')()\n"
        "print([name for name in sys.modules if 'opentelemetry.sdk' in name or 'opentelemetry.exporter' in name])"
    )
    given = {"PATH": "/usr/bin:/bin", "OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=given)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "console"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_the_standard_variables_say_whether_spans_are_sent(variables: dict[str, str], wanted: bool) -> None:
    assert is_wanted(variables) is wanted


def test_a_trace_of_the_client_is_recorded_also_without_a_collector(tmp_path: Path) -> None:
    server = StdioServer(tmp_path)
    with running(server):
        server.ask("tools/call", call("get-command", "93" * 16, **NO_COMMAND["arguments"]))
        (command,) = server.records.commands("get-command")
        assert {(row.trace_id, row.span_id) for row in server.records.of(command)} == {("93" * 16, PARENT)}
