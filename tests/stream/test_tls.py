"""Workers with TLS: for those who ask, and between the workers. The certificates are made by openssl for the test."""

import asyncio
import ssl
import subprocess
import urllib.request
import uuid

import pytest

from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web

EVENTS = 2_000


def openssl(*arguments: str, directory) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def certificate(directory, name: str) -> None:
    """An authority `name`-ca.pem, and a certificate that it has signed for 127.0.0.1."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca = ["-x509", "-subj", f"/CN={name} authority", "-keyout", f"{name}-ca.key", "-out", f"{name}-ca.pem"]
    openssl("req", *key, *ca, directory=directory)
    signed = ["-x509", "-CA", f"{name}-ca.pem", "-CAkey", f"{name}-ca.key", "-subj", "/CN=worker"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
    openssl("req", *key, *signed, *names, directory=directory)


def tls(directory, name: str, authority: str) -> dict[str, str]:
    return {
        "OTT_WEB_TLS_CERT": str(directory / f"{name}.pem"),
        "OTT_WEB_TLS_KEY": str(directory / f"{name}.key"),
        "OTT_WEB_TLS_CA": str(directory / f"{authority}-ca.pem"),
    }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Certificates of two authorities; urllib believes the first one."""
    for name in ("ours", "other"):
        certificate(tmp_path, name)
    context = ssl.create_default_context(cafile=tmp_path / "ours-ca.pem")
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    monkeypatch.setattr(urllib.request, "_opener", opener)
    return tmp_path


@pytest.fixture
def stream(embedded_broker, files):
    variables = {"OTT_JWT_SECRET": SECRET}
    stream = Stream(embedded_broker, f"tls-{uuid.uuid4().hex[:8]}.", files, variables=variables)
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", generated(EVENTS, seed=22).events)
    return stream


def test_workers_with_certificates_of_one_authority_answer_for_each_other(stream, files):
    with (
        stream.worker("a", **tls(files, "ours", "ours")) as a,
        stream.worker("b", **tls(files, "ours", "ours")) as b,
    ):
        a.wait_ready()
        b.wait_ready()
        web = Web([a, b])
        web.wait_covered()
        summaries = [web.get("/stats/summary", worker=number, name="analyst") for number in (0, 1)]
        assert [summary["workers"] for summary in summaries] == [2, 2]
        assert [summary["coverage"]["missing"] for summary in summaries] == [[], []]
        with pytest.raises(OSError, match="closed"):
            urllib.request.urlopen(f"http{a.address.removeprefix('https')}/healthz", timeout=5)


def test_a_worker_whose_certificate_is_another_authoritys_is_not_asked(stream, files):
    with (
        stream.worker("a", **tls(files, "ours", "other")) as a,
        stream.worker("b", **tls(files, "ours", "ours")) as b,
    ):
        a.wait_ready()
        b.wait_ready()
        web = Web([a, b])
        web.wait_for("/stats/summary", lambda answer: answer["coverage"]["missing"])
        assert "CERTIFICATE_VERIFY_FAILED" in a.tail(100)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTT_WEB_TLS_CERT": "ours.pem"}, "web_tls_cert needs web_tls_key beside it"),
        (
            {"OTT_WEB_TLS_CERT": "ours.pem", "OTT_WEB_TLS_KEY": "other.key"},
            "cannot be used: [X509: KEY_VALUES_MISMATCH]",
        ),
        ({"OTT_WEB_TLS_CERT": "nowhere.pem", "OTT_WEB_TLS_KEY": "ours.key"}, "nowhere.pem"),
    ],
)
def test_files_that_do_not_go_together_are_said_before_anything_starts(stream, files, variables, said):
    given = {name: str(files / value) for name, value in variables.items()}
    with stream.worker(**given) as worker:
        worker.wait_gone(30)
        assert worker.process.exit_code == 2, worker.tail()
        assert said in worker.tail()
