-- How punctual each carrier was in the last weeks, as known when the week ends.
-- An outcome is known one day after the scheduled departure, like the label. Few flights are drawn to the overall share.
WITH known AS (
    SELECT * FROM flights WHERE scheduled_at + INTERVAL 1 DAY <= $partition_end
),
overall AS (
    SELECT avg(late::INTEGER) AS late_share FROM known
)
SELECT
    carrier,
    $partition_end AS known_at,
    count(*) AS carrier_flights,
    (count(*) FILTER (late) + 50 * any_value(overall.late_share)) / (count(late) + 50) AS carrier_late_share,
    avg(cancelled::INTEGER) AS carrier_cancelled_share
FROM known, overall
GROUP BY carrier
