"""`device.error_rate`: a device fails too often. It looks at the counts of an hour over all users."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.rules.error_rate import ErrorRate


@dataclass(frozen=True, slots=True)
class DeviceErrorRate(ErrorRate):
    """`ErrorRate` of one device, over all users."""

    rule_id: ClassVar[str] = "device.error_rate"
    subject_type: ClassVar[str] = "device"
    runbook: ClassVar[str] = (
        "Check the most frequent error codes in the evidence, and whether other devices of that model and "
        "client version fail too. If so, roll the client version back; leave a single device whose user has a "
        "bad connection."
    )
