"""The files of TLS: what cannot be used is an error in usage that names the setting and the file."""

import subprocess

import pytest

from pipeline.errors import UsageError
from pipeline.settings.schema import load_settings
from pipeline.web.http.tls import tls_of
from tests.certificates import make_certificates


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


def test_without_settings_there_is_no_tls(tmp_path):
    assert tls_of(load_settings(environ={}, cwd=tmp_path)) is None


@pytest.mark.parametrize("given", ["CERT", "KEY", "CA", "CERT CA", "KEY CA"])
def test_half_of_the_settings_is_an_error(files, tmp_path, given):
    names = [f"OTT_WEB_TLS_{name}" for name in given.split()]
    with pytest.raises(UsageError, match="web_tls_") as refused:
        load_settings(environ={name: files.variables[name] for name in names}, cwd=tmp_path)
    assert refused.value.exit_status == 2


@pytest.mark.parametrize("name", ["CERT", "KEY", "CA"])
@pytest.mark.parametrize("content", [None, b"", b"\xff no PEM"])
def test_a_file_that_cannot_be_used_is_named(files, tmp_path, name, content):
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_bytes(content)
    settings = load_settings(environ={**files.variables, f"OTT_WEB_TLS_{name}": str(path)}, cwd=tmp_path)
    with pytest.raises(UsageError, match=rf"web_tls_{name.lower()} {path}.* cannot be used"):
        tls_of(settings)


def test_a_key_of_another_certificate_and_an_encrypted_key_are_refused(files, tmp_path):
    other = make_certificates(tmp_path).key
    encrypted = tmp_path / "encrypted.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", other, "-out", encrypted, "-passout", "pass:secret"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    for key in (other, encrypted):
        settings = load_settings(environ={**files.variables, "OTT_WEB_TLS_KEY": str(key)}, cwd=tmp_path)
        with pytest.raises(UsageError, match=r"web_tls_key .* cannot be used"):
            tls_of(settings)


@pytest.mark.slow
@pytest.mark.essential
def test_the_worker_says_so_before_it_looks_for_brokers(files, tmp_path, ott):
    done = ott(
        "worker",
        **{**files.variables, "OTT_WEB_TLS_CA": str(tmp_path / "no"), "OTT_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )
    assert done.returncode == 2
    assert "web_tls_ca" in done.stderr
