"""Points in time and lengths of time, as the contracts have them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from google.protobuf import duration_pb2, timestamp_pb2
from google.type import date_pb2


def timestamp(when: datetime | None) -> timestamp_pb2.Timestamp | None:
    """A point in time; None stays None, which leaves a field unset."""
    if when is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(when)
    return message


def duration(seconds: float | None) -> duration_pb2.Duration | None:
    """A length of time given in seconds; None stays None."""
    if seconds is None:
        return None
    message = duration_pb2.Duration()
    message.FromTimedelta(timedelta(seconds=seconds))
    return message


def day(when: date) -> date_pb2.Date:
    """A calendar day."""
    return date_pb2.Date(year=when.year, month=when.month, day=when.day)
