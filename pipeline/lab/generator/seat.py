"""One device of one user at one address: what its events have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.lab.generator.wire import Pen, Template, template
from pipeline.lab.generator.world import SPELLINGS, AddressBook

if TYPE_CHECKING:
    from random import Random

    from pipeline.lab.generator.catalogue import Catalogue, Title
    from pipeline.lab.generator.population import Device, User

_VERSIONS = ("5.12.1", "5.12.0", "5.11.3", "4.9.8", "6.0.0-beta.2")
_NETWORKS = ("wifi", "ethernet", "4g", "5g")


@dataclass(slots=True)
class Run:
    """What all sessions of one run share.

    Attributes:
        rng: the one source of chance; it is drawn from in the order of simulated time.
        pen: writes the events.
        catalogue: what there is to watch.
        addresses: foreign networks.
    """

    rng: Random
    pen: Pen
    catalogue: Catalogue
    addresses: AddressBook = field(default_factory=AddressBook)


class Seat:
    """Makes the templates of one device in one session.

    Args:
        run: what the run shares.
        user: whose events these are.
        device: on what.
        address: from which network, default the user's home.
        region: as the client reports it, default the user's home, spelt as this client does.
        flags: members that are sent beside the usual ones on every event.
    """

    __slots__ = ("_device_id", "_rest", "_templates", "_user_id", "_utc_offset", "client")

    def __init__(
        self,
        run: Run,
        user: User,
        device: Device,
        address: str | None = None,
        region: str | None = None,
        flags: dict[str, object] | None = None,
    ) -> None:
        rnd = run.rng.random
        quirk = rnd()
        address = address or user.address
        rest: dict[str, object] = {
            "region": region or _spelt(user.home.code, quirk),
            "is_eu": user.is_eu,
            "has_consent": user.has_consent,
            "ip_address": f"::ffff:{address}" if 0.5 < quirk < 0.51 and ":" not in address else address,  # noqa: PLR2004
        }
        if user.plan is not None:
            rest["subscription_plan"] = user.plan
        if user.age is not None:
            rest["user_age"] = user.age
        if user.shared is not None:
            rest["data_shared"] = user.shared
        if user.session_ids:
            rest["session_id"] = f"s-{user.index:x}-{int(rnd() * 0xFFFFFFFF):08x}"
        if user.metadata:
            rest["extra_metadata"] = _metadata(device.client.name, rnd())
        if 0.7 < quirk < 0.71:  # noqa: PLR2004
            # A newer producer than this contract: unknown members are ignored and counted.
            rest["sdk"] = {"build": 4711, "channel": None}
        self.client = device.client
        self._rest = rest | (flags or {})
        self._user_id = user.user_id
        self._device_id = device.id
        self._utc_offset = user.home.utc_offset
        self._templates: dict[str | None, Template] = {}

    def on(self, title: Title | None) -> Template:
        """The template while this title plays; None = an event about the account."""
        content_id = None if title is None else title.id
        known = self._templates.get(content_id)
        if known is None:
            ids: dict[str, str | None] = {"user_id": self._user_id, "device_id": self._device_id}
            if content_id is not None:
                ids["content_id"] = content_id
            known = template(ids, self._rest, self.client, self._utc_offset)
            self._templates[content_id] = known
        return known


def _spelt(code: str, quirk: float) -> str:
    if quirk < 0.02:  # noqa: PLR2004
        return code.lower()
    if quirk < 0.3 and code in SPELLINGS:  # noqa: PLR2004
        return SPELLINGS[code]
    return code


def _metadata(device_type: str, chance: float) -> dict[str, object]:
    metadata: dict[str, object] = {
        "app_version": _VERSIONS[int(chance * len(_VERSIONS))],
        "network_type": _NETWORKS[int(chance * 97) % len(_NETWORKS)],
        "device_type": device_type,
    }
    if chance < 0.1:  # noqa: PLR2004
        metadata["player"] = {"bitrate_kbps": 1200 + int(chance * 40_000), "buffer_s": 12.5, "hdr": False}
    return metadata
