-- One row a flight of the schedule, with the same identity and columns as in flights.sql. No outcome is known.
SELECT
    concat_ws('-', carrier, flight, strftime(make_date(year, month, day), '%Y%m%d'), origin) AS flight_id,
    time_hour + to_minutes(minute) AS scheduled_at,
    carrier,
    origin,
    dest,
    origin || '-' || dest AS route,
    hour + minute / 60.0::DOUBLE AS local_hour,
    isodow(make_date(year, month, day)) AS day_of_week,
    distance
FROM source
