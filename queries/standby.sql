-- name: PrimaryPosition :one
-- Returns the position after all that the primary has told anyone, its timeline, and when its
-- process has started, which identifies it. Fails on a standby. A commit is told after it was
-- flushed, or, if it does not wait for the disk, after it was inserted.
SELECT (CASE current_setting('synchronous_commit')
        WHEN 'off' THEN pg_current_wal_insert_lsn()
        ELSE pg_current_wal_flush_lsn() END)::text AS position,
    ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer AS timeline,
    pg_postmaster_start_time()::timestamptz AS started_at;

-- name: StandbyState :one
-- Returns whether a server is a standby, whether it has replayed all up to a position, and when its
-- process has started.
SELECT pg_is_in_recovery()::boolean AS standby,
    coalesce(pg_last_wal_replay_lsn() >= sqlc.arg(position)::text::pg_lsn, false)::boolean AS replayed,
    pg_postmaster_start_time()::timestamptz AS started_at;

-- name: ServerHistory :one
-- Returns what identifies the history of a server: its cluster and its timeline. It costs several
-- times as much as the statements above. A standby shows its timeline only in its control file,
-- which is late: it is right after the next restartpoint. A role with pg_read_all_stats also sees
-- the timeline that the standby receives. The timeline is that of a standby only.
SELECT (SELECT system_identifier FROM pg_control_system())::bigint AS system,
    greatest((SELECT timeline_id FROM pg_control_checkpoint()),
        (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
        (SELECT received_tli FROM pg_stat_get_wal_receiver()))::integer AS timeline;
