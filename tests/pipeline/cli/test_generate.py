"""What `ott generate` says."""

import socket

import pytest


def test_a_generator_says_at_once_that_nobody_listens(ott):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        done = ott("generate", "--events", "5", "--url", url)
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert f"{url}/events cannot be reached" in done.stderr


@pytest.mark.parametrize(
    ("stretch", "same"),
    [
        pytest.param(["--until", "2026-01-02T00:00:00Z"], True, id="until"),
        pytest.param(["--from", "2026-01-01T00:00:00Z", "--duration", "6h"], True, id="from and a length"),
        pytest.param([], False, id="up to now"),
    ],
)
def test_the_same_seed_gives_the_same_bytes_for_the_same_stretch(ott, tmp_path, stretch, same):
    files = [tmp_path / "first", tmp_path / "second"]
    for file in files:
        assert ott("generate", "--events", "300", "--seed", "7", "--output", file, *stretch).returncode == 0
    first, second = (file.read_bytes() for file in files)
    assert first
    assert (first == second) is same
