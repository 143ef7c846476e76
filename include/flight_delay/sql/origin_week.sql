-- How punctual each airport was in the last weeks and what weather it had in this one, as known when the week ends.
-- Sums are made of decimals, which add up to the same total in any order.
WITH punctuality AS (
    SELECT
        origin,
        count(*) AS flights,
        avg(late::INTEGER) AS late_share,
        avg(greatest(dep_delay, 0)) AS mean_departure_delay
    FROM flights
    WHERE scheduled_at + INTERVAL 1 DAY <= $partition_end
    GROUP BY origin
),
skies AS (
    SELECT
        origin,
        avg(wind_mph::DECIMAL(9, 3)) AS mean_wind_mph,
        sum(rain_inch::DECIMAL(9, 3))::DOUBLE AS rain_inch,
        avg((visibility_miles < 3)::INTEGER) AS poor_visibility_share
    FROM weather
    GROUP BY origin
)
SELECT
    origin,
    $partition_end AS known_at,
    flights AS origin_flights,
    late_share AS origin_late_share,
    mean_departure_delay AS origin_departure_delay,
    mean_wind_mph AS origin_wind_mph,
    rain_inch AS origin_rain_inch,
    poor_visibility_share AS origin_poor_visibility_share
FROM punctuality
LEFT JOIN skies USING (origin)
