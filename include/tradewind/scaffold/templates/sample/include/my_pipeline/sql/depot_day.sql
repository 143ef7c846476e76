-- How punctual each depot was in the last days, as known when the day ends.
-- An outcome is known six hours after the plan, like the label.
SELECT
    depot,
    $partition_end AS known_at,
    count(*) AS depot_deliveries,
    avg(late::INTEGER) AS depot_late_share
FROM deliveries
WHERE planned_at + INTERVAL 6 HOUR <= $partition_end
GROUP BY depot
