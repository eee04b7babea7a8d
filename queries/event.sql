-- name: EventAdd :batchexec
-- Adds an event of the transaction to those that wait for a place in the feed.
INSERT INTO event_outbox (lpu_guid, type, at, appointment_guid, direction_guid, resource_guid, from_at, to_at, version)
VALUES (@lpu_guid, @type, @at, sqlc.narg(appointment_guid), sqlc.narg(direction_guid), sqlc.narg(resource_guid), sqlc.narg(from_at)::timestamptz,
    sqlc.narg(to_at)::timestamptz, @version);

-- name: VisitEventsAdd :batchexec
-- Adds the event of a visit and then that of its referral to those that wait for a place in the
-- feed. One statement, because every booking pays for it.
INSERT INTO event_outbox (lpu_guid, type, at, appointment_guid, direction_guid, resource_guid, version)
VALUES
    (@lpu_guid, @type, @at, @appointment_guid::uuid, @direction_guid::uuid, sqlc.narg(resource_guid)::uuid, @version),
    (@direction_lpu_guid, @direction_type, @at, @appointment_guid::uuid, @direction_guid::uuid, NULL, @version);

-- name: EventWaits :one
-- Returns the number of an event that waits for a place in the feed, or no row. In the order of the
-- index it passes events that were deleted only once; EXISTS would read them all each time.
SELECT number FROM event_outbox ORDER BY number LIMIT 1;

-- name: EventBacklog :one
-- Returns how many events wait for a place in the feed, at most @most, and the time of the oldest,
-- which is @at if none waits.
SELECT count(*) AS waiting, coalesce(min(o.at), @at)::timestamptz AS oldest
FROM (SELECT event_outbox.at FROM event_outbox ORDER BY event_outbox.number LIMIT @most) o;

-- name: EventRecorderLock :one
-- Makes this transaction the recorder, and returns the last place in the feed. Returns no row if
-- another one is the recorder.
SELECT position, recorded_at
FROM event_recorder
FOR UPDATE SKIP LOCKED;

-- name: EventPartitions :exec
-- Creates the partitions of a day and of the two days after it, and drops those that are too old.
SELECT event_partitions(@today::date, @kept_days);

-- name: EventOutboxNumbers :many
-- Returns the numbers of waiting events, in the order in which they get their places.
SELECT number
FROM event_outbox
ORDER BY number
LIMIT @most;

-- name: EventRecord :exec
-- Gives waiting events their places, those of the region after @last_position.
INSERT INTO event (recorded_at, position, lpu_guid, sequence, type, at, appointment_guid, direction_guid, resource_guid, from_at, to_at, version)
SELECT sqlc.arg(recorded_at)::timestamptz, row_number() OVER (ORDER BY o.number) + sqlc.arg(last_position)::bigint, o.lpu_guid,
    coalesce(s.sequence, 0) + row_number() OVER (PARTITION BY o.lpu_guid ORDER BY o.number),
    o.type, o.at, o.appointment_guid, o.direction_guid, o.resource_guid, o.from_at, o.to_at, o.version
FROM event_outbox o
LEFT JOIN event_sequence s ON s.lpu_guid = o.lpu_guid
WHERE o.number = ANY(@numbers::bigint[]);

-- name: EventSequenceAdvance :exec
-- Counts the waiting events of each institution.
INSERT INTO event_sequence AS s (lpu_guid, sequence)
SELECT o.lpu_guid, count(*)
FROM event_outbox o
WHERE o.number = ANY(@numbers::bigint[])
GROUP BY o.lpu_guid
ON CONFLICT (lpu_guid) DO UPDATE
SET sequence = s.sequence + excluded.sequence;

-- name: EventOutboxDelete :exec
-- Deletes events that have got their places.
DELETE FROM event_outbox WHERE number = ANY(@numbers::bigint[]);

-- name: EventRecorderAdvance :exec
UPDATE event_recorder SET position = @position, recorded_at = @recorded_at;

-- name: EventEnds :one
-- Returns the last place in the feed, and the last one whose event is not kept any more.
SELECT position, recorded_at, dropped
FROM event_recorder;

-- name: EventIsPlace :one
-- Returns whether the feed has an event at a place.
SELECT EXISTS (SELECT FROM event WHERE recorded_at = @recorded_at AND position = @position);

-- name: EventList :many
-- Returns the events of all institutions after a place, in order.
SELECT recorded_at, position, lpu_guid, sequence, type, at, appointment_guid, direction_guid, resource_guid, from_at, to_at, version
FROM event
WHERE recorded_at >= @after_at AND (recorded_at, position) > (@after_at, @after_position::bigint)
ORDER BY recorded_at, position
LIMIT @most;

-- name: EventListOfLpus :many
-- Returns the events of some institutions after a place, in order.
SELECT e.recorded_at, e.position, e.lpu_guid, e.sequence, e.type, e.at, e.appointment_guid, e.direction_guid, e.resource_guid, e.from_at, e.to_at, e.version
FROM unnest(@lpu_guids::uuid[]) l (guid)
CROSS JOIN LATERAL (
    SELECT event.recorded_at, event.position, event.lpu_guid, event.sequence, event.type, event.at, event.appointment_guid, event.direction_guid, event.resource_guid, event.from_at, event.to_at, event.version
    FROM event
    WHERE event.lpu_guid = l.guid AND event.lpu_guid = ANY(@lpu_guids::uuid[])
        AND event.recorded_at >= @after_at AND (event.recorded_at, event.position) > (@after_at, @after_position::bigint)
    ORDER BY event.recorded_at, event.position
    LIMIT @most
) e
ORDER BY e.recorded_at, e.position
LIMIT @most;

-- name: EventsAt :many
-- Returns the events at some places, in order.
SELECT recorded_at, position, lpu_guid, sequence, type, at, appointment_guid, direction_guid, resource_guid, from_at, to_at, version
FROM event
WHERE (recorded_at, position) IN (SELECT unnest(@times::timestamptz[]), unnest(@positions::bigint[]))
ORDER BY position;
