# ruff: noqa: INP001 - a script's module beside it, run by hand, not a package
"""Outlines of Natural Earth, read from a GeoPackage and measured on the ellipsoid by the standard library."""

import math
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

# WGS 84.
SEMI_MAJOR_KM = 6378.137
FLATTENING = 1 / 298.257223563
ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)
ECCENTRICITY = math.sqrt(ECCENTRICITY_2)

STEP_DEGREES = 0.25
"""Edges are straight in the map's degrees; they are cut into steps this short to stay so on the globe."""

WKB_POLYGON, WKB_MULTIPOLYGON = 3, 6
ENVELOPE_BYTES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}

Vector = tuple[float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Outline:
    """One state or province of the source, with its measures.

    `moment` is the integral of the unit vector over the area on the unit sphere: it points to the centroid,
    and moments add up, also across the antimeridian.
    """

    fid: int
    country: str
    name: str | None
    other_names: tuple[str, ...]
    area_km2: float
    moment: Vector


def read_outlines(geopackage: Path) -> dict[int, Outline]:
    """All outlines of the layer `states_provinces`, by fid."""
    connection = sqlite3.connect(f"file:{geopackage}?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT fid, iso_a2, name, gn_name, woe_label, woe_name, geom FROM states_provinces ORDER BY fid"
    )
    outlines = {}
    for fid, country, name, gn_name, woe_label, woe_name, geometry in rows:
        area, moment = measure(_rings(geometry))
        others = (gn_name or "", (woe_label or "").split(",")[0], woe_name or "")
        outlines[fid] = Outline(fid, country, name, others, area, moment)
    connection.close()
    return outlines


def centroid(moments: Iterable[Vector]) -> Point:
    """Latitude and longitude of the centroid of areas with these moments, in degrees."""
    x, y, z = (sum(axis) for axis in zip(*moments, strict=True))
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def measure(rings: Iterable[tuple[bool, list[Point]]]) -> tuple[float, Vector]:
    """The area in km2 (on the ellipsoid) and the moment (on the unit sphere) of polygons.

    Args:
        rings: (whether it is an outer ring, its points as (longitude, latitude), closed).
    """
    area = 0.0
    moment = [0.0, 0.0, 0.0]
    for outer, points in rings:
        ring_area, ring_moment = _measure_ring(points)
        sign = 1 if outer else -1
        area += sign * abs(ring_area)
        # A clockwise ring has a positive area here and a moment that points inward.
        turn = -sign if ring_area > 0 else sign
        for axis, part in enumerate(ring_moment):
            moment[axis] += turn * part
    return area, (moment[0], moment[1], moment[2])


def _measure_ring(points: list[Point]) -> tuple[float, list[float]]:
    area = 0.0
    moment = [0.0, 0.0, 0.0]
    for (lon_a, lat_a), (lon_b, lat_b) in _steps(points):
        area += math.radians(lon_b - lon_a) * (_authalic(lat_a) + _authalic(lat_b)) / 2
        a, b = _unit(lon_a, lat_a), _unit(lon_b, lat_b)
        normal = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
        length = math.hypot(*normal)
        if length > 0:
            # The moment of a spherical polygon is half the sum of its arcs, each along its edge's normal.
            arc = math.atan2(length, sum(p * q for p, q in zip(a, b, strict=True)))
            for axis in range(3):
                moment[axis] += normal[axis] / length * arc / 2
    return area * SEMI_MAJOR_KM**2 / 2, moment


def _steps(points: list[Point]) -> Iterator[tuple[Point, Point]]:
    for (lon_a, lat_a), (lon_b, lat_b) in pairwise(points):
        count = max(1, math.ceil(max(abs(lon_b - lon_a), abs(lat_b - lat_a)) / STEP_DEGREES))
        previous = (lon_a, lat_a)
        for step in range(1, count + 1):
            share = step / count
            point = (lon_a + (lon_b - lon_a) * share, lat_a + (lat_b - lat_a) * share)
            yield previous, point
            previous = point


def _authalic(latitude: float) -> float:
    """The q of the authalic latitude (Snyder, Map Projections, 3-12): equal steps of it are equal areas."""
    sine = math.sin(math.radians(latitude))
    logarithm = math.log((1 - ECCENTRICITY * sine) / (1 + ECCENTRICITY * sine)) / (2 * ECCENTRICITY)
    return (1 - ECCENTRICITY_2) * (sine / (1 - ECCENTRICITY_2 * sine * sine) - logarithm)


def _unit(longitude: float, latitude: float) -> Vector:
    lon, lat = math.radians(longitude), math.radians(latitude)
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _rings(blob: bytes) -> Iterator[tuple[bool, list[Point]]]:
    """The rings of a GeoPackage geometry: a header, then WKB."""
    offset = 8 + ENVELOPE_BYTES[(blob[3] >> 1) & 7]
    rings: list[tuple[bool, list[Point]]] = []
    _read_wkb(blob, offset, rings)
    yield from rings


def _read_wkb(blob: bytes, offset: int, rings: list[tuple[bool, list[Point]]]) -> int:
    order = "<" if blob[offset] else ">"
    kind, count = struct.unpack_from(f"{order}II", blob, offset + 1)
    offset += 9
    if kind == WKB_MULTIPOLYGON:
        for _ in range(count):
            offset = _read_wkb(blob, offset, rings)
        return offset
    if kind != WKB_POLYGON:
        raise ValueError(f"geometry of type {kind}: only polygons are known")
    for number in range(count):
        (length,) = struct.unpack_from(f"{order}I", blob, offset)
        flat = struct.unpack_from(f"{order}{2 * length}d", blob, offset + 4)
        rings.append((number == 0, list(zip(flat[::2], flat[1::2], strict=True))))
        offset += 4 + 16 * length
    return offset
