-- name: FailedIdentificationCount :batchone
-- Counts a failure before it is one: the row stays locked until the transaction ends, with a commit where it was one and a rollback else. So those who try
-- at the same moment come one after the other, each knowing how the one before ended.
INSERT INTO failed_identification AS f (subject, failures, since)
VALUES (@subject, 1, @now)
ON CONFLICT (subject) DO UPDATE
SET failures = CASE WHEN f.since <= @forgotten THEN 1 ELSE f.failures + 1 END,
    since = CASE WHEN f.since <= @forgotten THEN excluded.since ELSE f.since END
RETURNING failures, since;

-- name: FailedIdentificationSweep :execrows
-- Forgets the oldest failures to be identified, so many at a time, and those of the same moment as the last. Those of client applications stay: they are few,
-- and whoever counts locks theirs first.
DELETE FROM failed_identification
WHERE length(subject) = 32 AND since <= (
    SELECT max(old.since)
    FROM (
        SELECT f.since FROM failed_identification f WHERE length(f.subject) = 32 AND f.since <= @forgotten ORDER BY f.since LIMIT @most
    ) old
);
