"""The centroid and the area of each region, and the distance of two regions.

The values are in `places.json`. docs/data says how it was made and from which source.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import asin, cos, pi, radians, sin, sqrt
from types import MappingProxyType
from typing import Any, Final

from pipeline.jurisdictions.packaged import packaged_text

EARTH_RADIUS_KM: Final = 6371.0088
"""The mean radius of the Earth (IUGG)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A region on the globe: its centroid in degrees, and its area in square kilometres."""

    latitude: float
    longitude: float
    area_km2: float

    @property
    def radius_km(self) -> float:
        """The radius of a circle of the place's area."""
        return sqrt(self.area_km2 / pi)


_DATA: Final[dict[str, Any]] = json.loads(packaged_text("places.json"))

PLACES: Final[Mapping[str, Place]] = MappingProxyType(
    {region: Place(*figures) for region, figures in _DATA["places"].items()}
)
"""The place of every region that has one, by region in normal form."""

ENCLOSED: Final[frozenset[str]] = frozenset(_DATA["enclosed"])
"""Subdivisions that the source does not draw. They have the place of a larger area that encloses them."""

UNPLACED: Final[frozenset[str]] = frozenset(_DATA["unplaced"])
"""Subdivisions of ISO 3166-2 without a known place."""


def place_of(region: str) -> Place | None:
    """The place of a region in normal form; None for EU, an unassigned code and those of `UNPLACED`."""
    return PLACES.get(region)


@lru_cache(maxsize=65_536)
def separation_km(a: str, b: str) -> float:
    """The distance of two regions in km: the great circle between their centroids, less the radii of both.

    It is negative where the circles overlap.

    Raises:
        KeyError: one of the regions has no place.
    """
    first, second = PLACES[a], PLACES[b]
    return _great_circle_km(first, second) - (first.radius_km + second.radius_km)


def _great_circle_km(a: Place, b: Place) -> float:
    """The haversine distance of two centroids, in km."""
    latitude_a, latitude_b = radians(a.latitude), radians(b.latitude)
    half_chord = (
        sin((latitude_b - latitude_a) / 2) ** 2
        + cos(latitude_a) * cos(latitude_b) * sin(radians(b.longitude - a.longitude) / 2) ** 2
    )
    # By rounding, the value for antipodes can be above 1, where there is no arc sine.
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half_chord)))
