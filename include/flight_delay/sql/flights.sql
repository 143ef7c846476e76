-- One row a flight that was scheduled in the week, with what became of it.
-- late: more than 15 minutes after the scheduled arrival; NULL for ever if the flight was cancelled or diverted.
SELECT
    concat_ws('-', carrier, flight, strftime(make_date(year, month, day), '%Y%m%d'), origin) AS flight_id,
    time_hour + to_minutes(minute) AS scheduled_at,
    carrier,
    flight,
    make_date(year, month, day) AS flight_date,
    origin,
    dest,
    origin || '-' || dest AS route,
    hour + minute / 60.0::DOUBLE AS local_hour,
    isodow(make_date(year, month, day)) AS day_of_week,
    distance,
    dep_delay,
    arr_delay,
    dep_time IS NULL AS cancelled,
    arr_delay > 15 AS late
FROM source
