-- name: LpuFacts :batchone
-- The target institution: its settings, the region's, and what the client application may do.
SELECT
    l.legal_entity_guid, l.time_zone,
    (coalesce(region.value, 'true') = 'true')::boolean AS one_active_per_speciality,
    (coalesce(creation.value, 'false') = 'true')::boolean AS creates_mkab,
    coalesce(own.guid = l.guid, false)::boolean AS polyclinic_code_is_own,
    coalesce(c.visit_direction, 0)::integer AS visit_direction,
    coalesce(c.visit_direction_other_lpu, 0)::integer AS visit_direction_other_lpu,
    coalesce(c.out_of_schedule, false)::boolean AS out_of_schedule
FROM lpu l
LEFT JOIN setting region ON region.owner_guid = '00000000-0000-0000-0000-000000000000' AND region.code = 'OneActiveAppointmentPerSpeciality'
LEFT JOIN setting creation ON creation.owner_guid = l.guid AND creation.code = '2dr_RecordWithoutMkab'
LEFT JOIN setting polyclinic ON polyclinic.owner_guid = l.guid AND polyclinic.code = 'PolyclinicCode'
LEFT JOIN lpu own ON own.code = polyclinic.value
LEFT JOIN client_application c ON c.guid = @client_guid
WHERE l.guid = @lpu_guid;

-- name: LpuSettings :one
-- The settings that switch rules on and off: the region's, and of an institution, where it exists. The zero guid names none.
SELECT
    EXISTS (SELECT FROM lpu l WHERE l.guid = @lpu_guid) AS known,
    NOT EXISTS (
        SELECT FROM setting s
        WHERE s.owner_guid = '00000000-0000-0000-0000-000000000000' AND s.code = 'OneActiveAppointmentPerSpeciality' AND s.value <> 'true'
    ) AS one_active_per_speciality,
    EXISTS (
        SELECT FROM setting s WHERE s.owner_guid = @lpu_guid AND s.code = '2dr_RecordWithoutMkab' AND s.value = 'true'
    ) AS creates_mkab;
