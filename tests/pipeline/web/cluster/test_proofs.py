"""What workers prove to each other: a proof holds for what it was made for, and for nothing else."""

import dataclasses

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pipeline.web.access.accounts import DEMO_USERS, Accounts
from pipeline.web.access.tokens import Tokens
from pipeline.web.cluster import proofs as proofs_module
from pipeline.web.cluster.proofs import LIFE_S, ForwardedCall, ProofError, Proofs, body_digest, new_nonce

SECRET = "a secret of the tests, 32 characters and more"
OTHER = "another secret of the tests, also long enough"
NOW = 1_800_000_000.0
RECEIVER = "http://10.0.0.2:8000/"


def a_call(**changes) -> ForwardedCall:
    call = ForwardedCall(
        "GET", "/users/u1?limit=5", body_digest(b""), RECEIVER, "anna", "analyst", new_nonce(), NOW
    )
    return dataclasses.replace(call, **changes)


def read(proofs: Proofs, proof: str, **changes) -> ForwardedCall:
    """Read and take."""
    asked = {"method": "GET", "target": "/users/u1?limit=5", "receiver": RECEIVER, "now": NOW, **changes}
    now = asked.pop("now")
    call = proofs.read_call(proof, **asked)
    proofs.take(call, now)
    return call


@given(
    st.sampled_from(["GET", "POST", "PUT"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126)),
    st.text(min_size=1),
    st.sampled_from(["analyst", "admin"]),
    st.integers(-int(LIFE_S), int(LIFE_S)),
)
def test_the_receiver_reads_what_was_signed(method, path, name, role, age) -> None:
    call = a_call(method=method, target=f"/{path}", name=name, role=role, at=NOW - age)
    proof = Proofs(SECRET, "app").sign_call(call)
    assert read(Proofs(SECRET, "app"), proof, method=method, target=f"/{path}") == call


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "POST"}, "another request"),
        ({"target": "/users/u2?limit=5"}, "another request"),
        ({"target": "/users/u1?limit=6"}, "another request"),
        ({"target": "/users/u1"}, "another request"),
        ({"receiver": "http://10.0.0.3:8000/"}, "another worker"),
        ({"now": NOW + LIFE_S + 1}, "clocks of the two machines differ"),
        ({"now": NOW - LIFE_S - 1}, "clocks of the two machines differ"),
    ],
)
def test_a_call_is_good_for_one_request_to_one_worker_for_some_seconds(changes, reason) -> None:
    proof = Proofs(SECRET, "app").sign_call(a_call())
    with pytest.raises(ProofError, match=reason):
        read(Proofs(SECRET, "app"), proof, **changes)


def test_a_call_is_good_once() -> None:
    proofs, proof = Proofs(SECRET, "app"), Proofs(SECRET, "app").sign_call(a_call())
    read(proofs, proof)
    for later in (0.0, LIFE_S / 2, LIFE_S):
        with pytest.raises(ProofError, match="made before"):
            read(proofs, proof, now=NOW + later)


def test_a_worker_takes_no_call_from_before_its_start() -> None:
    proof = Proofs(SECRET, "app").sign_call(a_call())
    started_again = Proofs(SECRET, "app", started=NOW + 1)
    with pytest.raises(ProofError, match="before this worker started"):
        read(started_again, proof, now=NOW + 2)


def test_the_memory_for_nonces_is_bounded_and_refuses_what_it_cannot_remember(monkeypatch) -> None:
    monkeypatch.setattr(proofs_module, "_MAX_NONCES", 3)
    proofs = Proofs(SECRET, "app")
    for _ in range(3):
        read(proofs, proofs.sign_call(a_call()))
    with pytest.raises(ProofError, match="more than 3 calls"):
        read(proofs, proofs.sign_call(a_call()))
    later = NOW + 2 * LIFE_S + 1
    read(proofs, proofs.sign_call(a_call(at=later)), now=later)


def test_nonces_are_forgotten_when_their_calls_are_good_no_longer() -> None:
    proofs = Proofs(SECRET, "app")
    for number in range(500):
        now = NOW + number
        read(proofs, proofs.sign_call(a_call(at=now)), now=now)
    assert len(proofs._nonces) <= 2 * LIFE_S + 2


@pytest.mark.parametrize("signer", [Proofs(OTHER, "app"), Proofs(SECRET, "another app")])
def test_who_has_another_secret_or_is_another_application_proves_nothing(signer) -> None:
    ours = Proofs(SECRET, "app")
    with pytest.raises(ProofError, match="OTT_JWT_SECRET"):
        read(ours, signer.sign_call(a_call()))
    assert ours.origin_of(str(signer.signed_address(URL(RECEIVER)))) is None
    assert not ours.is_answer(signer.sign_answer("n", 200, "a/b", b""), "n", 200, "a/b", b"")


def test_a_persons_token_is_no_proof_and_a_proof_is_no_token() -> None:
    tokens, proofs = Tokens(SECRET, Accounts(None, demo=True)), Proofs(SECRET, "app")
    (name, *_), role = list(DEMO_USERS), "admin"
    with pytest.raises(ProofError):
        read(proofs, tokens.issue(name, role))
    with pytest.raises(Exception, match=r".*"):
        tokens.identify(f"Bearer {proofs.sign_call(a_call())}")
    with pytest.raises(ProofError):
        read(proofs, jwt.encode({"iat": NOW, "aud": RECEIVER, "sub": "a", "jti": "1"}, SECRET, "HS256"))


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_whatever_comes_as_a_proof_is_refused(proof) -> None:
    proofs = Proofs(SECRET, "app")
    with pytest.raises(ProofError):
        read(proofs, proof)
    assert proofs.origin_of(proof) is None
    assert not proofs.is_answer(proof, "nonce", 200, "a/b", b"body")


@given(st.binary(), st.binary(), st.integers(200, 599), st.integers(200, 599))
def test_an_answer_is_bound_to_its_call_its_status_and_its_body(body, other, status, other_status) -> None:
    proofs = Proofs(SECRET, "app")
    proof = proofs.sign_answer("nonce", status, "a/b", body)
    assert proofs.is_answer(proof, "nonce", status, "a/b", body)
    assert not proofs.is_answer(proof, "another", status, "a/b", body)
    assert not proofs.is_answer(proof, "nonce", status, "text/html", body)
    assert proofs.is_answer(proof, "nonce", status, "a/b", other) == (body == other)
    assert proofs.is_answer(proof, "nonce", other_status, "a/b", body) == (status == other_status)


@pytest.mark.parametrize("origin", ["http://10.0.0.2:8000", "https://worker-1:8443", "http://[::1]:8000"])
def test_an_address_comes_back_and_no_other_can_take_its_proof(origin) -> None:
    proofs = Proofs(SECRET, "app")
    signed = proofs.signed_address(URL(origin))
    assert proofs.origin_of(str(signed)) == URL(origin)
    assert proofs.origin_of(str(URL("http://evil:1/").with_fragment(signed.fragment))) is None
    assert proofs.origin_of(origin) is None
