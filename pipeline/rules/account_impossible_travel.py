"""`account.impossible_travel`: two places too far apart for the time between them. It looks at the user's activity."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from pipeline.events.instants import format_instant
from pipeline.jurisdictions.places import place_of, separation_km
from pipeline.jurisdictions.regions import is_own_subdivision
from pipeline.rules.finding import MAX_LIMIT, Dimension, Finding
from pipeline.rules.inputs import NO_OTHERS, Activity
from pipeline.windows.user import LastPlace

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class ImpossibleTravel:
    """Fires if the user moved more than `min_distance_km` at more than `max_speed_kmh`.

    The distance is the great circle between the regions' centroids, less the radii of circles with the regions' areas.
    So neighbours and large countries do not fire. Airliners cruise below 1,000 km/h. The time counts as at least
    `min_seconds`, so that two events at the same instant have a finite speed.
    """

    rule_id: ClassVar[str] = "account.impossible_travel"
    dimension: ClassVar[Dimension] = "account"
    looks_at: ClassVar[Literal["activity"]] = "activity"
    runbook: ClassVar[str] = (
        "Check whether one of the two regions is that of a VPN or of a mobile provider's gateway. If not, ask the user "
        "to change the password and end the other sessions; leave it where the VPN is known."
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    min_distance_km: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] = 500.0
    max_speed_kmh: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)] = 1000.0
    min_seconds: Annotated[int, Field(ge=1, le=MAX_LIMIT, strict=True)] = 60

    def judge(self, activity: Activity) -> Finding | None:
        """The finding, where the rule fires."""
        last, region = activity.last_place, activity.region
        if last is None or not activity.in_order or last.region == region:
            return None
        # A country and one of its subdivisions are the same place, named more or less exactly.
        if is_own_subdivision(region, last.region) or is_own_subdivision(last.region, region):
            return None
        if place_of(region) is None:
            return None
        distance = separation_km(last.region, region)
        if distance <= self.min_distance_km:
            return None
        hours = max(activity.time - last.time, self.min_seconds * 1000) / HOUR_MS
        speed = distance / hours
        if speed <= self.max_speed_kmh:
            return None
        return Finding(
            self.rule_id,
            self.dimension,
            "HIGH",
            (),
            f"The account moved from {last.region} to {region}, {round(distance)} km, "
            f"faster than {round(self.max_speed_kmh)} km/h.",
            {
                "from_region": last.region,
                "to_region": region,
                "from_time": format_instant(last.time),
                "to_time": format_instant(activity.time),
                "distance_km": round(distance, 4),
                "hours": round(hours, 4),
                "speed_kmh": round(speed, 4),
                "min_distance_km": self.min_distance_km,
                "max_speed_kmh": self.max_speed_kmh,
            },
        )


def place_after(last: LastPlace | None, region: str, time: int) -> LastPlace | None:
    """The last place after an in-order event. The evaluation calls it, whether or not the rule is on.

    The place stays if the region has no centroid, or if it is the country of the subdivision that is the last place.
    """
    if last is not None and last.region == region:
        return LastPlace(region, time)
    if place_of(region) is None or (last is not None and is_own_subdivision(region, last.region)):
        return last
    return LastPlace(region, time)
