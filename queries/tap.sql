-- name: TapFacts :batchone
-- When the newest open case of treatment of a person in one institution was opened.
SELECT t.opened_on
FROM mkab m
JOIN tap t ON t.lpu_guid = @lpu_guid AND t.mkab_guid = m.guid
WHERE m.lpu_guid = @lpu_guid AND m.person_guid = @person_guid AND t.closed_on IS NULL
ORDER BY t.opened_on DESC
LIMIT 1;
