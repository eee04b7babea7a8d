-- name: FailedIdentificationCount :batchone
-- Counts an attempt as a failure before its outcome is known. The transaction commits if the
-- attempt fails and rolls back if it succeeds. The row stays locked until then, so that concurrent
-- attempts run one after another and each sees the outcome of the one before.
INSERT INTO failed_identification AS f (subject, failures, since)
VALUES (@subject, 1, @now)
ON CONFLICT (subject) DO UPDATE
SET failures = CASE WHEN f.since <= @forgotten THEN 1 ELSE f.failures + 1 END,
    since = CASE WHEN f.since <= @forgotten THEN excluded.since ELSE f.since END
RETURNING failures, since;

-- name: FailedIdentificationSweep :execrows
-- Deletes the oldest failures to identify a patient: up to @most, and any with the same time as the
-- last of them. Failures of client applications are kept: they are few, and counting locks them
-- first.
DELETE FROM failed_identification
WHERE length(subject) = 32 AND since <= (
    SELECT max(old.since)
    FROM (
        SELECT f.since FROM failed_identification f WHERE length(f.subject) = 32 AND f.since <= @forgotten ORDER BY f.since LIMIT @most
    ) old
);
