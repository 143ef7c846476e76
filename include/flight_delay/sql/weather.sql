-- One row an airport and hour. A gust is reported only when there was one; a wind of 1,048 mph (12 February) is none.
SELECT
    origin,
    time_hour AS observed_at,
    temp AS temperature_f,
    humid AS humidity,
    CASE WHEN wind_speed < 200 THEN wind_speed END AS wind_mph,
    CASE WHEN wind_gust < 250 THEN wind_gust END AS gust_mph,
    precip AS rain_inch,
    visib AS visibility_miles
FROM source
