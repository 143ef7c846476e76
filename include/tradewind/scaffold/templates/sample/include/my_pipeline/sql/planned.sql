-- One row a planned delivery, with the same columns as in deliveries.sql. No outcome is known.
SELECT
    delivery_id,
    planned_at,
    depot,
    distance_km,
    weight_kg,
    hour(planned_at) AS planned_hour
FROM source
