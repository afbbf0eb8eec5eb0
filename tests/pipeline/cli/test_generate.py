"""What `ott generate` says."""

import socket


def test_a_generator_says_at_once_that_nobody_listens(ott):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        done = ott("generate", "--events", "5", "--url", url)
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert f"{url}/events cannot be reached" in done.stderr
