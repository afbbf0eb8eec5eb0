"""Two workers that ask each other, by HTTP and over TLS; and somebody who wants to have them ask elsewhere."""

import asyncio
import http.server
import socket
import ssl
import threading
from urllib.parse import urlsplit

import pytest

from pipeline.kafka.topics import ensure_topics
from tests.certificates import make_certificates
from tests.stream.events import generated
from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web


@pytest.fixture(params=["http", "https"])
def web(request, apache_kafka, topic_prefix, tmp_path, monkeypatch):
    """A client of two workers that have judged some events."""
    variables = {"OTT_JWT_SECRET": SECRET}
    if request.param == "https":
        certificates = make_certificates(tmp_path / "tls")
        variables |= certificates.variables
        # Python's own clients trust what this names.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    stream = Stream(apache_kafka, topic_prefix, tmp_path, variables=variables)
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", generated(300, seed=5).events)
    with stream.worker("a") as one, stream.worker("b") as other:
        one.wait_ready()
        other.wait_ready()
        web = Web([one, other])
        web.wait_covered()
        web.post("/process/drain?timeout=60")
        web.users = sorted(key[1:].decode() for key in stream.expected().users)
        yield web


@pytest.fixture
def trap():
    """A server that keeps what it is asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.requestline)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def raw(address, request):
    """The answer to bytes."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=15) as plain:
        tls = parts.scheme == "https"
        context = ssl.create_default_context()
        connection = context.wrap_socket(plain, server_hostname=parts.hostname) if tls else plain
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_each_worker_answers_for_both_and_asks_nobody_whom_a_client_names(web, trap):
    for number in (0, 1):
        assert web.get("/stats/summary", worker=number, name="analyst")["workers"] == 2
    owners = set()
    for user_id in web.users[:12]:
        first, second = (web.get(f"/tables/users-v1/u{user_id}", worker=number) for number in (0, 1))
        assert first == second
        owners.add(first["owner"])
    assert owners == {worker.address for worker in web.workers}

    port, asked = trap
    token = web.token("analyst")
    paths = ["/stats/summary", "/rules", *(f"/users/{user_id}" for user_id in web.users[:8])]
    for origin in (f"http://127.0.0.1:{port}", f"//127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
        for path in paths:
            request = (
                f"GET {origin}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                "Connection: close\r\n\r\n"
            )
            answer = raw(web.workers[0].address, request.encode())
            assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert asked == []
