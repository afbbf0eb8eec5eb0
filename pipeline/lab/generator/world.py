"""Where people live, when they watch, and from which addresses.

These figures are not taken from the rules, so labels say what was done, and not what the tested code believes.
Addresses come from ranges that belong to nobody (RFC 1918, RFC 6598, RFC 3849).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import asin, cos, radians, sin, sqrt

HOUR_MS = 3_600_000
MINUTE_MS = 60_000

EARTH_RADIUS_KM = 6371.0

# The load by local hour as a share of the peak: lowest at night, higher at noon, and highest from 20 to 22.
_UNTIL_NOON = (0.50, 0.32, 0.20, 0.14, 0.12, 0.13, 0.18, 0.26, 0.30, 0.32, 0.34, 0.38)
_FROM_NOON = (0.44, 0.45, 0.44, 0.46, 0.52, 0.60, 0.72, 0.88, 1.00, 1.00, 0.90, 0.70)
DIURNAL = (*_UNTIL_NOON, *_FROM_NOON)


@dataclass(frozen=True, slots=True)
class ReportedRegion:
    """A region as a client reports it.

    Attributes:
        code: region in its normal form.
        weight: share of the audience, in parts of any whole.
        lat: latitude of its middle, degrees.
        lon: longitude of its middle, degrees.
        utc_offset: hours ahead of UTC.
        eea: whether people there are under the GDPR.
        asks_consent: whether one of its laws wants consent before processing.
    """

    code: str
    weight: float
    lat: float
    lon: float
    utc_offset: float
    eea: bool = False
    asks_consent: bool = False

    @property
    def country(self) -> str:
        """The two letters in front."""
        return self.code[:2]

    def local_hour(self, t_ms: int) -> int:
        """Hour of the day there at an instant."""
        return int(t_ms / HOUR_MS + self.utc_offset) % 24

    def load(self, t_ms: int) -> float:
        """Share of the peak load there at an instant, in 0..1."""
        return DIURNAL[self.local_hour(t_ms)]


def _eea(code: str, weight: float, lat: float, lon: float, utc_offset: float) -> ReportedRegion:
    return ReportedRegion(code, weight, lat, lon, utc_offset, eea=True, asks_consent=True)


REPORTED_REGIONS: tuple[ReportedRegion, ...] = (
    _eea("NL", 7, 52.2, 5.5, 1),
    _eea("DE", 10, 51.1, 10.4, 1),
    _eea("FR", 8, 46.6, 2.5, 1),
    _eea("ES", 5, 40.2, -3.6, 1),
    _eea("IT", 5, 42.8, 12.1, 1),
    _eea("PL", 3, 52.1, 19.4, 1),
    _eea("SE", 2, 62.8, 16.7, 1),
    _eea("BE", 2, 50.6, 4.6, 1),
    _eea("LU", 0.4, 49.8, 6.1, 1),
    _eea("IE", 1, 53.2, -8.1, 0),
    _eea("PT", 1, 39.6, -8.5, 0),
    _eea("AT", 1, 47.6, 14.1, 1),
    _eea("DK", 1, 56.0, 10.0, 1),
    _eea("FI", 1, 64.5, 26.3, 2),
    _eea("NO", 1, 64.6, 12.7, 1),
    _eea("CZ", 1, 49.7, 15.3, 1),
    _eea("RO", 1, 45.9, 25.0, 2),
    _eea("GR", 1, 39.1, 22.9, 2),
    _eea("EU", 0.3, 50.0, 9.0, 1),
    ReportedRegion("GB", 7, 54.1, -2.9, 0, asks_consent=True),
    ReportedRegion("CH", 1.5, 46.8, 8.2, 1),
    ReportedRegion("US-CA", 6, 37.2, -119.5, -8),
    ReportedRegion("US-NY", 5, 42.9, -75.5, -5),
    ReportedRegion("US-TX", 4, 31.5, -99.3, -6),
    ReportedRegion("US-FL", 3, 28.6, -82.4, -5),
    ReportedRegion("US-NJ", 1.5, 40.2, -74.7, -5),
    ReportedRegion("US-WA", 1.5, 47.4, -120.5, -8),
    ReportedRegion("US", 3, 39.8, -98.6, -6),
    ReportedRegion("CA", 3, 56.1, -106.3, -5, asks_consent=True),
    ReportedRegion("BR", 4, -10.8, -53.1, -3, asks_consent=True),
    ReportedRegion("MX", 2, 23.9, -102.5, -6),
    ReportedRegion("CN", 1, 36.6, 103.8, 8, asks_consent=True),
    ReportedRegion("SG", 1, 1.36, 103.8, 8, asks_consent=True),
    ReportedRegion("TH", 1, 15.1, 101.0, 7, asks_consent=True),
    ReportedRegion("KR", 2, 36.4, 127.8, 9, asks_consent=True),
    ReportedRegion("JP", 3, 37.6, 138.0, 9),
    ReportedRegion("IN", 4, 22.9, 79.6, 5.5, asks_consent=True),
    ReportedRegion("ZA", 1, -29.0, 25.1, 2, asks_consent=True),
    ReportedRegion("AU", 2, -25.7, 134.5, 10),
    ReportedRegion("NZ", 0.7, -41.8, 171.5, 12),
    # Kosovo is known and has no law of its own here; ZZ is a code that nobody holds.
    ReportedRegion("XK", 0.2, 42.6, 20.9, 1),
    ReportedRegion("ZZ", 0.1, 0.0, 0.0, 0),
)
BY_CODE = {place.code: place for place in REPORTED_REGIONS}
CUMULATIVE = tuple(accumulate(place.weight for place in REPORTED_REGIONS))

US_STATES = tuple(place.code for place in REPORTED_REGIONS if place.code.startswith("US-"))
EEA_COUNTRIES = tuple(place.code for place in REPORTED_REGIONS if place.eea and place.code != "EU")
CONSENT_ELSEWHERE = ("BR", "CN", "SG", "TH", "KR", "CA", "IN", "ZA")
# No two of these are closer than an airliner's half a day.
FAR_APART = ("JP", "BR", "ZA", "GB", "NZ", "MX")

# Pairs of neighbours whose borders are crossed on the way to work.
COMMUTES = (("BE", "NL"), ("LU", "DE"), ("US-NJ", "US-NY"), ("DK", "SE"), ("IE", "GB"), ("CH", "AT"))
# A corner of Europe where an hour on the road passes several countries.
BORDER_TOURS = (("NL", "BE", "LU", "DE"), ("FR", "LU", "DE", "BE"), ("AT", "DE", "CZ"))
# Flights that fit into an afternoon.
JOURNEYS = (("NL", "ES"), ("DE", "PT"), ("GB", "IT"), ("FR", "GR"), ("US-NY", "US-FL"), ("SG", "TH"))

# Other valid ways to write the same region.
SPELLINGS = {"GB": "UK", "GR": "EL"}


def distance_km(one: ReportedRegion, other: ReportedRegion) -> float:
    """The great-circle distance between the centres of two regions."""
    lat1, lat2 = radians(one.lat), radians(other.lat)
    half_lat = sin((lat2 - lat1) / 2) ** 2
    half_lon = sin(radians(other.lon - one.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half_lat + cos(lat1) * cos(lat2) * half_lon)))


def audience_load(t_ms: int) -> float:
    """The load of the whole audience at an instant, as a share of the sum of all peaks."""
    return sum(place.weight * place.load(t_ms) for place in REPORTED_REGIONS) / CUMULATIVE[-1]


def home_address(index: int) -> str:
    """The address of a user's home, different for each of the first 16 million users."""
    if index % 5 == 0:
        return f"2001:db8:{index >> 16 & 0xFFFF:x}:{index & 0xFFFF:x}::{index % 97 + 2:x}"
    return f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}"


class AddressBook:
    """Hands out addresses of foreign networks; the next four million are all different networks."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def fresh(self) -> str:
        """An address in a network that was not handed out before."""
        self._next += 1
        # An odd factor walks through all 2^22 addresses of 100.64.0.0/10 before one returns.
        number = self._next * 2_654_435 & 0x3FFFFF
        if self._next % 6 == 0:
            return f"2001:db8:{0x8000 | number >> 16:x}:{number & 0xFFFF:x}:0:0:{number % 911:x}:1"
        return f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
