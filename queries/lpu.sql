-- name: LpuFacts :batchone
-- The target institution, the settings in force there, by their codes, and what the client application may do. Of a setting that several have, the client
-- application's wins, then the institution's: the last value of a key stays.
SELECT
    l.legal_entity_guid, l.code, l.time_zone,
    coalesce(in_force.settings, '{}')::jsonb AS settings,
    coalesce(c.visit_direction, 0)::integer AS visit_direction,
    coalesce(c.visit_direction_other_lpu, 0)::integer AS visit_direction_other_lpu,
    coalesce(c.out_of_schedule, false)::boolean AS out_of_schedule
FROM lpu l
LEFT JOIN client_application c ON c.guid = @client_guid
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(s.code, s.value ORDER BY s.of_client, s.lpu_guid IS NOT NULL) AS settings
    FROM setting s
    WHERE s.owner_guid = ANY(ARRAY['00000000-0000-0000-0000-000000000000', l.guid, @client_guid::uuid])
) in_force
WHERE l.guid = @lpu_guid;

-- name: LpuSettings :many
-- The settings that are in force through a client application, by their codes: in an institution, where it exists; for the zero guid in the region and in
-- each of its institutions, those that are alike once.
SELECT DISTINCT coalesce(in_force.settings, '{}')::jsonb AS settings
FROM (
    SELECT l.guid FROM lpu l WHERE @lpu_guid::uuid = '00000000-0000-0000-0000-000000000000' OR l.guid = @lpu_guid::uuid
    UNION ALL
    SELECT @lpu_guid::uuid WHERE @lpu_guid::uuid = '00000000-0000-0000-0000-000000000000'
) place
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(s.code, s.value ORDER BY s.of_client, s.lpu_guid IS NOT NULL) AS settings
    FROM setting s
    WHERE s.owner_guid = ANY(ARRAY['00000000-0000-0000-0000-000000000000', place.guid, @client_guid::uuid]) AND s.code <> 'PolyclinicCode'
) in_force;
