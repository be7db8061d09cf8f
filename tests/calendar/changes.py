#!/usr/bin/env python3
"""Writes the tables in fixtures/calendar:

    python3 tests/calendar/changes.py > fixtures/calendar/changes-2026.tsv
    python3 tests/calendar/changes.py soak > fixtures/calendar/soaks-2026.tsv

A second opinion on every edge of windows around the changes of the clocks in 2026. It shares nothing with the program: another
language, the zone files of the machine instead of the ones built in, and no word of gaps or folds. It steps through UTC minute
by minute, asks what the wall clock shows, and applies the sentences of the documentation as they stand:

- days and times: of each local date, from the first minute at which the clock shows the start or later, to the last minute at
  which it shows less than the end;
- cron: from the first minute at which the clock shows the start or later, for so many minutes.

Needed only to write the table anew; the tests read the table.
"""
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
# Where the clocks change in 2026, by the published rules of each zone, and the hours around it that are looked at.
CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00", "+1:00 to +2:00"),
    ("Europe/Berlin", "2026-10-25T01:00", "+2:00 to +1:00"),
    ("America/New_York", "2026-03-08T07:00", "-5:00 to -4:00"),
    ("America/New_York", "2026-11-01T06:00", "-4:00 to -5:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00", "+11:00 to +10:30"),
    ("Australia/Lord_Howe", "2026-10-03T15:30", "+10:30 to +11:00"),
    ("UTC", "2026-03-29T01:00", "none"),
    ("UTC", "2026-10-25T01:00", "none"),
]
AROUND = timedelta(hours=60)
# Days, start and end in minutes; an end at or before its start is on the next day.
WEEKLY = [
    ("Mon-Fri", "09:00", "16:30"), ("daily", "00:00", "24:00"), ("Sun", "00:00", "24:00"), ("Sat", "22:00", "02:15"),
    ("Sun", "01:45", "01:45"), ("Fri-Mon", "22:00", "06:00"), ("Sat,Sun", "00:00", "01:00"),
] + [
    ("daily", start, end) for start, end in [
        ("00:00", "01:30"), ("00:00", "02:00"), ("01:00", "01:30"), ("01:00", "02:00"), ("01:15", "01:45"), ("01:30", "02:00"),
        ("01:30", "02:30"), ("01:40", "01:50"), ("01:45", "03:15"), ("02:00", "02:30"), ("02:00", "03:00"), ("02:10", "02:20"),
        ("02:15", "02:45"), ("02:30", "03:00"), ("02:30", "04:00"), ("03:00", "04:00"), ("03:30", "03:15"), ("23:45", "00:15"),
    ]
]
# Fields, the minutes of a day that they name, a duration in minutes as text and number, and the weekdays.
CRON = [
    ("30 2 * * *", [150], "45m", 45, range(7)),
    ("30 1 * * *", [90], "45m", 45, range(7)),
    ("0 9 * * Mon-Fri", [540], "7h", 420, range(5)),
    ("*/20 1-3 * * *", [h * 60 + m for h in (1, 2, 3) for m in (0, 20, 40)], "10m", 10, range(7)),
    ("0 * * * *", [h * 60 for h in range(24)], "1h", 60, range(7)),
    ("0 12 * * Sat", [720], "24h", 1440, [5]),
]


def minutes(text):
    return int(text[:2]) * 60 + int(text[3:])


def weekdays(text):
    named = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        day, end = DAYS.index(first), DAYS.index(last or first)
        named.add(day)
        while day != end:
            day = (day + 1) % 7
            named.add(day)
    return named


def first_at(walls, wall):
    """The index of the first minute at which the clock shows this time or a later one."""
    return next((index for index, shown in enumerate(walls) if shown >= wall), len(walls))


def last_before(walls, wall):
    """The index after the last minute at which the clock shows an earlier time."""
    return next((index + 1 for index in range(len(walls) - 1, -1, -1) if walls[index] < wall), 0)


def opened(walls, named, pieces):
    """For each minute, whether it is open; `pieces` gives what begins on a date."""
    open_at = [False] * len(walls)
    dates = sorted({wall.date() for wall in walls})
    for date in dates:
        if date.weekday() in named:
            for start, end in pieces(datetime.combine(date, datetime.min.time())):
                open_at[start:end] = [True] * max(0, min(end, len(walls)) - start)
    return open_at


def edges(walls, instants, open_at, begin, end):
    shown = []
    for index in range(1, len(instants)):
        if begin < instants[index] <= end and open_at[index] != open_at[index - 1]:
            shown.append(("+" if open_at[index] else "-") + instants[index].strftime("%Y-%m-%dT%H:%MZ"))
    return " ".join(shown) or "none"


def rows():
    for zone, change, offsets in CHANGES:
        middle = datetime.fromisoformat(change).replace(tzinfo=timezone.utc)
        begin, end = middle - AROUND, middle + AROUND
        # Days more on both sides, so that nothing that reaches into the time looked at is cut.
        instants = [begin - timedelta(days=4) + MINUTE * n for n in range(int((end - begin) / MINUTE) + 8 * 1440)]
        info = ZoneInfo(zone)
        walls = [instant.astimezone(info).replace(tzinfo=None) for instant in instants]
        found = []
        for days, start, stop in WEEKLY:
            first, last = minutes(start), minutes(stop)
            last += 1440 if last <= first else 0
            named = range(7) if days == "daily" else weekdays(days)
            span = lambda day: [(first_at(walls, day + first * MINUTE), last_before(walls, day + last * MINUTE))]
            found.append((f"{days} {start}-{stop} {zone}", opened(walls, named, span)))
        for fields, starts, text, length, named in CRON:
            begins = lambda day: [first_at(walls, day + start * MINUTE) for start in starts]
            span = lambda day: [(index, index + length) for index in begins(day)]
            found.append((f"cron {fields} for {text} {zone}", opened(walls, named, span)))
        form = "%Y-%m-%dT%H:%MZ"
        for window, open_at in found:
            at_begin = "open" if open_at[instants.index(begin)] else "shut"
            shown = edges(walls, instants, open_at, begin, end)
            yield [window, begin.strftime(form), at_begin, end.strftime(form), shown]


SOAKS = [30, 60, 90, 24 * 60, 36 * 60]


def soaks():
    for zone, change, offsets in CHANGES:
        middle = datetime.fromisoformat(change).replace(tzinfo=timezone.utc)
        info = ZoneInfo(zone)
        for before in (45, 12 * 60):
            for soak in SOAKS:
                start = middle - before * MINUTE
                # In UTC, where no clock changes.
                end = start + soak * MINUTE
                wall = lambda at: at.astimezone(info).strftime("%Y-%m-%dT%H:%M")
                form = "%Y-%m-%dT%H:%MZ"
                yield [zone, start.strftime(form), f"{soak}m", end.strftime(form), wall(start), wall(end)]


if __name__ == "__main__":
    import sys

    if sys.argv[1:] == ["soak"]:
        print("# Written by tests/calendar/changes.py soak: zone, start, soak, end, and both as the clocks of the zone show them.")
        table = soaks()
    else:
        print("# Written by tests/calendar/changes.py, which says how: a second opinion, minute by minute, by another program.")
        print("# Window, from when, how it stands then, until when, and each edge between: + opens, - shuts.")
        table = rows()
    for row in table:
        print("\t".join(row))
