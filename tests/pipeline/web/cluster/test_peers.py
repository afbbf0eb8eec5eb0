"""Whom a worker asks: members of the consumer group whose addresses carry the proof of our workers, and nobody else."""

import logging
import time

import pytest
from yarl import URL

from pipeline.web.cluster.peers import Peers
from pipeline.web.cluster.proofs import ForwardedCall, Proofs, body_digest, new_nonce
from pipeline.web.http.problems import Problem
from tests.pipeline.web.conftest import SECRET

STRANGER = "http://10.0.0.66:1"


@pytest.fixture
def table(web):
    return web.app.tables["users-v1"]


@pytest.fixture
def peers(web):
    return Peers(web.app, Proofs(SECRET, web.app.conf.id), None)


def distribute(web, table, *addresses):
    """Give each address one partition, as the leader of the group would tell."""
    web.app.assignor.changelog_distribution = {
        address: {table.changelog_name: [number]} for number, address in enumerate(addresses)
    }


async def test_a_stranger_in_the_group_is_not_asked_and_named_once(web, table, peers, caplog):
    ours = Proofs(SECRET, web.app.conf.id).signed_address(URL("http://10.0.0.2:8000"))
    forged = URL(STRANGER).with_fragment(ours.fragment)
    distribute(web, table, STRANGER, str(forged), "no address \x00", str(ours), "")
    with caplog.at_level(logging.WARNING):
        assert [peers.others(table) for _ in range(3)] == [[URL("http://10.0.0.2:8000")]] * 3
    named = [record.getMessage() for record in caplog.records if "without the proof" in record.message]
    assert len(named) == 4
    assert peers.owner(table, 3) == URL("http://10.0.0.2:8000")
    with pytest.raises(Problem) as refused:
        peers.owner(table, 0)
    assert "the same OTT_JWT_SECRET" in refused.value.detail


async def test_this_worker_is_none_of_the_others(web, table, peers):
    distribute(web, table, str(web.app.conf.canonical_url))
    assert peers.others(table) == []
    assert peers.owner(table, 0) == peers.own_url


async def test_a_role_in_a_forwarded_call_is_checked_again(web, peers):
    proofs = Proofs(SECRET, web.app.conf.id)

    async def ask(role, target="/audit", **headers):
        call = ForwardedCall(
            "GET", target, body_digest(b""), str(peers.own_url), "ann", role, new_nonce(), time.time()
        )
        proof = proofs.sign_call(call)
        async with web.client.get("/audit", headers={"X-Ott-Peer": proof, **headers}) as response:
            body = await response.read()
            said = response.headers.get("X-Ott-Peer"), call.nonce, response.status
            proven = proofs.is_answer(*said, response.headers["Content-Type"], body)
            return response.status, proven, proof

    assert (await ask("analyst"))[:2] == (403, True)
    assert (await ask("admin", "/rules"))[:2] == (401, False)
    status, proven, proof = await ask("admin")
    assert status != 401
    assert proven
    async with web.client.get("/audit", headers={"X-Ott-Peer": proof}) as again:
        assert again.status == 502
        assert "made before" in (await again.json())["detail"]
