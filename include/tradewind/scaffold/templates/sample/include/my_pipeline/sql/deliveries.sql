-- One row a delivery that was planned for the day, with what became of it.
-- late: more than 15 minutes after the plan; NULL while it has not arrived.
SELECT
    delivery_id,
    planned_at,
    depot,
    distance_km,
    weight_kg,
    hour(planned_at) AS planned_hour,
    arrived_at > planned_at + INTERVAL 15 MINUTE AS late
FROM source
