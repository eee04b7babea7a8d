package harness

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// copied begins a transaction with testdb.CopyTables of the tables of visits and schedules, and
// returns a function that counts in it and one that ends it. The copies are not one snapshot, so
// the recorder of events waits until they are made.
func (s *Service) copied() (count func(sql string, args ...any) int, end func()) {
	s.T.Helper()
	tx, err := s.DB.BeginTx(s.T.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(s.T, err)
	_, err = tx.Exec(s.T.Context(), "LOCK TABLE event_recorder IN EXCLUSIVE MODE")
	require.NoError(s.T, err)
	testdb.CopyTables(s.T, tx,
		"absence", "appointment", "direction", "event_outbox", "event", "event_recorder", "event_sequence", "hold",
		"mkab", "mkab_policy", "schedule_window", "slot", "speciality_claim")
	count = func(sql string, args ...any) (n int) {
		s.T.Helper()
		require.NoError(s.T, tx.QueryRow(s.T.Context(), sql, args...).Scan(&n))
		return n
	}
	return count, func() { _ = tx.Rollback(context.WithoutCancel(s.T.Context())) }
}

// Snapshot returns the rows of every table as text. Tests compare two snapshots to prove that a
// request changed nothing. Events are not part of it, because they get their places later; each
// belongs to a change that is. Nor are the progress of the sweep, the records of requests in the
// audit, or what becomes of events at webhooks; a revision counts what client applications change.
func (s *Service) Snapshot() map[string]string {
	s.T.Helper()
	rows, err := s.DB.Query(s.T.Context(), `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^audit_record|^event|^retention$|^webhook_(deliverer|attempt|retry)$' ORDER BY 1`)
	require.NoError(s.T, err)
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		require.NoError(s.T, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(s.T, rows.Err())
	content := map[string]string{}
	for _, table := range tables {
		from := table
		if table == "webhook" {
			from = "(SELECT guid, client_guid, revision FROM webhook)"
		}
		var text string
		require.NoError(s.T, s.DB.QueryRow(s.T.Context(),
			`SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM `+from+` t`).Scan(&text))
		content[table] = text
	}
	return content
}

// RequireInvariants requires that the tables satisfy the guarantees of docs/guarantees.md.
func (s *Service) RequireInvariants() {
	s.T.Helper()
	count, end := s.copied()
	defer end()
	require.Zero(s.T, count(`WITH visits AS (
			SELECT lpu_guid, cell, count(*) AS n FROM appointment, unnest(slot_guids) cell WHERE cancelled_at IS NULL GROUP BY 1, 2
		) SELECT count(*) FROM slot s LEFT JOIN visits v ON v.lpu_guid = s.lpu_guid AND v.cell = s.guid
		WHERE s.taken <> coalesce(v.n, 0) OR s.taken > s.capacity`), "promise 1: taken counts the active visits of a cell and is at most its capacity")
	require.Zero(s.T, count(`SELECT count(*) FROM (SELECT direction_guid FROM appointment WHERE cancelled_at IS NULL AND attendance <> 'no_show'
		GROUP BY direction_guid HAVING count(*) > 1) twice`), "promise 2: a referral has at most one active visit")
	require.Zero(s.T, count(`SELECT count(*) FROM appointment a WHERE cancelled_at IS NULL AND attendance <> 'no_show' AND NOT EXISTS (SELECT FROM direction d
		WHERE d.lpu_guid = a.direction_lpu_guid AND d.guid = a.direction_guid AND d.appointment_guid = a.guid)`), "promise 5: the referral of an active visit refers to it")
	require.Zero(s.T, count(`SELECT count(*) FROM direction d WHERE appointment_guid IS NOT NULL AND NOT EXISTS (SELECT FROM appointment a
		WHERE a.lpu_guid = d.appointment_lpu_guid AND a.guid = d.appointment_guid AND a.direction_guid = d.guid AND a.cancelled_at IS NULL
		AND a.start_at = d.appointment_start_at AND a.end_at = d.appointment_end_at)`), "promise 5: a referral refers to an active visit with the same times")
	require.Zero(s.T, count(`SELECT count(*) FROM speciality_claim c JOIN appointment a ON a.guid = c.appointment_guid
		WHERE a.cancelled_at IS NOT NULL OR a.attendance = 'no_show' OR (a.lpu_guid, a.start_at, a.end_at) <> (c.lpu_guid, c.start_at, c.end_at)`), "promise 3: a claim refers to an active visit with the same times")
	require.Zero(s.T, count(`SELECT count(*) FROM appointment a JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
		WHERE a.cancelled_at IS NULL AND a.attendance <> 'no_show' AND a.end_at > $1 AND d.type = 'Consult' AND NOT EXISTS (SELECT FROM speciality_claim c
		WHERE c.person_guid = a.person_guid AND c.speciality_code = d.speciality_code AND c.end_at >= a.end_at)`, s.Now()), "promise 3: an active consultation has a claim")
	require.Zero(s.T, count(`SELECT count(*) FROM (SELECT FROM mkab WHERE closed_at IS NULL GROUP BY lpu_guid, person_guid HAVING count(*) > 1) twice`),
		"promise 4: a person has at most one open card an institution")
	require.Zero(s.T, count(`SELECT count(*) FROM slot s WHERE taken + (SELECT count(*) FROM unnest(slot_holds(holds, $1)) h WHERE NOT EXISTS (
			SELECT FROM appointment a WHERE a.lpu_guid = s.lpu_guid AND s.guid = ANY(a.slot_guids) AND a.cancelled_at IS NULL AND a.person_guid = h.person_guid)) > capacity`, s.Now()),
		"promise 11: visits and holds together are at most the capacity of a cell")
	require.Zero(s.T, count(`WITH held AS (
			SELECT hold.lpu_guid, cell, hold.guid, hold.person_guid, hold.until FROM hold, unnest(hold.slot_guids) cell WHERE hold.until > $1
		), noted AS (
			SELECT slot.lpu_guid, slot.guid, h.guid, h.person_guid, h.until FROM slot, unnest(slot.holds) h WHERE h.until > $1
		) SELECT count(*) FROM ((TABLE held EXCEPT ALL TABLE noted) UNION ALL (TABLE noted EXCEPT ALL TABLE held)) differing`, s.Now()),
		"promise 11: the holds of the cells are those of the table hold")
	require.Zero(s.T, count(`SELECT count(*) FROM appointment a, unnest(a.slot_guids) cell WHERE a.cancelled_at IS NULL AND a.start_at >= $1
		AND NOT EXISTS (SELECT FROM slot WHERE slot.lpu_guid = a.lpu_guid AND slot.guid = cell AND slot.resource_guid = a.resource_guid)`, s.Now()),
		"promise 14: the cells of an active visit exist")
	require.Zero(s.T, count(`WITH told AS (
			SELECT appointment_guid, version FROM event UNION ALL SELECT appointment_guid, version FROM event_outbox
		), last AS (
			SELECT appointment_guid, max(version) AS version, count(DISTINCT version) AS n FROM told WHERE appointment_guid IS NOT NULL GROUP BY 1
		) SELECT count(*) FROM appointment a FULL JOIN last ON last.appointment_guid = a.guid
		WHERE a.version IS DISTINCT FROM last.version
			AND (last.version IS NOT NULL OR a.version > 1 AND a.guid::text NOT LIKE 'de300000-%' /* loaded without events */
				AND (SELECT dropped FROM event_recorder) = 0)`),
		"promise 22: the newest event of a visit tells of its version")
	require.Zero(s.T, count(`SELECT count(*) FROM (SELECT lpu_guid, min(sequence) AS first, max(sequence) AS last, count(*) AS n FROM event GROUP BY 1) recorded
		CROSS JOIN event_recorder LEFT JOIN event_sequence s USING (lpu_guid)
		WHERE n <> last - first + 1 OR s.sequence IS DISTINCT FROM last OR first > 1 AND dropped = 0`),
		"promise 23: the events of an institution have no gap; those that are too old are dropped")
	require.Zero(s.T, count(`SELECT count(*) FROM schedule_window w JOIN schedule_window other USING (lpu_guid, resource_guid)
		WHERE w.from_at < other.from_at AND w.to_at > other.from_at`), "promise 13: one message decides each moment of a schedule")
	require.Zero(s.T, count(`SELECT count(*) FROM schedule_window w JOIN slot USING (lpu_guid, resource_guid)
		WHERE w.settled AND slot.start_at >= w.from_at AND slot.start_at < w.to_at AND slot.start_at >= $1 AND slot.closed_by & 2 <> 0`, s.Now()),
		"promise 13: a settled period has no withdrawn cells")
	require.Zero(s.T, count(`SELECT count(*) FROM slot WHERE start_at >= $1 AND (closed_by & 4 <> 0) <> EXISTS (SELECT FROM absence a
		WHERE a.lpu_guid = slot.lpu_guid AND a.resource_guid = slot.resource_guid AND a.lifted_at IS NULL
		AND a.from_at < slot.end_at AND a.to_at > slot.start_at)`, s.Now()), "an absence closes the cells that it overlaps")
}
