package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// plainCell is a stored cell with the properties of its resource that a search uses.
type plainCell struct {
	guid, resource                 uuid.UUID
	speciality                     string
	active                         bool
	start                          time.Time
	capacity, taken, held          int32 // held counts the holds of others
	access, busyType               int
	blocked                        bool
	restriction                    booking.Restriction
	ownHold, othersHold, endedHold bool // stored in holds; endedHold is another's hold that has ended
}

// bookable reports whether SQL should return the cell.
func (c *plainCell) bookable(scan booking.SlotScan) bool {
	free := c.taken+c.held < c.capacity || slices.Contains(scan.Own, c.guid)
	return c.active && free && c.busyType == 1 && !c.blocked && c.access&int(scan.Access) != 0 &&
		slices.Contains(scan.Restrictions, c.restriction)
}

// addRandomCells inserts resources with cells of random properties. The cells have few different
// starts, so that many start at the same time.
func (w *world) addRandomCells(random *rand.Rand, resources, cellsOfEach int) []plainCell {
	w.t.Helper()
	oneIn := func(n int) bool { return random.IntN(n) == 0 }
	batch := new(pgx.Batch)
	batch.Queue(`DELETE FROM slot`)
	var cells []plainCell
	for range resources {
		of := plainCell{resource: randomGUID(random), speciality: fmt.Sprint(random.IntN(4)), active: !oneIn(6)}
		batch.Queue(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач', $3, $4)`, w.to, of.resource, of.speciality, of.active)
		for range random.IntN(cellsOfEach + 1) {
			c := of
			c.guid, c.start = randomGUID(random), w.firstStart.Add(time.Duration(random.IntN(30))*15*time.Minute)
			c.capacity, c.access, c.busyType, c.blocked = int32(random.IntN(3)), 12, 1, oneIn(8)
			c.restriction = booking.Restrictions[random.IntN(3)]
			if c.capacity > 0 {
				c.taken = int32(random.IntN(int(c.capacity) + 1))
			}
			if oneIn(8) {
				c.access = 1
			}
			if oneIn(8) {
				c.busyType = 2
			}
			var holds *string
			if oneIn(4) {
				c.ownHold, c.othersHold, c.endedHold = oneIn(2), oneIn(2), oneIn(2)
				holds = w.holdsText(&c)
			}
			batch.Queue(`INSERT INTO slot VALUES ($1, $2, $3, $4, $5, $5::timestamptz + interval '15 minutes', $6, $7, $8, $9, $10, $11, $12::text::slot_hold[])`,
				w.to, c.guid, len(cells)+1, c.resource, c.start, c.capacity, c.taken, c.access, c.busyType, c.blocked,
				string(c.restriction), holds)
			cells = append(cells, c)
		}
	}
	require.NoError(w.t, w.db.SendBatch(w.t.Context(), batch).Close())
	slices.SortFunc(cells, func(a, b plainCell) int {
		return cmp.Or(a.start.Compare(b.start), strings.Compare(a.guid.String(), b.guid.String()))
	})
	return cells
}

// holdsText returns the holds column of a cell, and counts the active holds of others.
func (w *world) holdsText(c *plainCell) *string {
	var holds []string
	add := func(person uuid.UUID, until time.Time) {
		holds = append(holds, fmt.Sprintf(`"(%s,%s,%s)"`, uuid.New(), person, until.Format(time.RFC3339)))
	}
	if c.ownHold {
		add(w.patient.Person, moment.Add(time.Minute))
	}
	if c.othersHold {
		add(uuid.New(), moment.Add(time.Minute))
		c.held++
	}
	if c.endedHold {
		add(uuid.New(), moment.Add(-time.Minute))
	}
	if holds == nil {
		return nil
	}
	text := "{" + strings.Join(holds, ",") + "}"
	return &text
}

func randomGUID(random *rand.Rand) (guid uuid.UUID) {
	for i := range guid {
		guid[i] = byte(random.Uint32())
	}
	return guid
}

// Promise: a search returns the same cells in the same order as a filter over all cells, from any
// start of a page: for an institution, a speciality and a resource, with and without cells that
// cannot be booked.
func TestSearchMatchesFullScan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 1))
		cells := w.addRandomCells(random, 30, 16)
		own := cells[random.IntN(len(cells))].guid
		speciality, resource := cells[0].speciality, cells[0].resource
		for _, target := range []struct {
			speciality *string
			resource   *uuid.UUID
		}{{nil, nil}, {&speciality, nil}, {nil, &resource}, {&speciality, &resource}} {
			for _, all := range []bool{false, true} {
				scan := booking.SlotScan{
					Lpu: w.to, Speciality: target.speciality, Resource: target.resource, From: w.firstStart,
					To:         w.firstStart.Add(7 * time.Hour),
					Difficulty: 1, Person: w.patient.Person, Now: moment, All: all, Access: 8,
					Restrictions: booking.Restrictions[:2],
				}
				if random.IntN(2) == 0 {
					scan.Own = []uuid.UUID{own}
				}
				requirePages(t, store, scan, cells, random)
			}
		}
		w.exec(`DELETE FROM slot; DELETE FROM resource WHERE name = 'Врач' AND guid <> '` + w.doctor.String() + `'`)
	}
}

// requirePages compares the search from each position with the filtered cells.
func requirePages(t *testing.T, store *Store, scan booking.SlotScan, cells []plainCell, random *rand.Rand) {
	t.Helper()
	var want []plainCell
	for _, c := range cells {
		if c.start.Before(scan.To) && (scan.Speciality == nil || c.speciality == *scan.Speciality) &&
			(scan.Resource == nil || c.resource == *scan.Resource) &&
			(scan.All || c.bookable(scan)) {
			want = append(want, c)
		}
	}
	scan.Most = 1 + random.IntN(20)
	scans := []booking.SlotScan{scan}
	for i := range want {
		scan.From, scan.After, scan.Most = want[i].start, &want[i].guid, 1+random.IntN(20)
		scans = append(scans, scan)
	}
	found, err := store.ScanSlots(t.Context(), scans)
	require.NoError(t, err)
	for i, page := range found {
		guids, wants := []uuid.UUID{}, []uuid.UUID{}
		for _, slot := range page {
			guids = append(guids, slot.Cells[0].Guid)
		}
		for _, c := range want[i:min(i+scans[i].Most, len(want))] {
			wants = append(wants, c.guid)
		}
		require.Equal(t, wants, guids, "%+v", scans[i])
	}
}

// lastStatement records the last completed statement of a batch, with its parameters.
type lastStatement struct {
	statements

	query pgx.TraceBatchQueryData
}

// TraceBatchQuery implements pgx.BatchTracer.
func (l *lastStatement) TraceBatchQuery(_ context.Context, _ *pgx.Conn, query pgx.TraceBatchQueryData) {
	l.query = query
}

// planNode is a node of an executed plan.
type planNode struct {
	Table    string     `json:"Relation Name"`
	Rows     float64    `json:"Actual Rows"`
	Removed  float64    `json:"Rows Removed by Filter"`
	Loops    float64    `json:"Actual Loops"`
	Hit      int        `json:"Shared Hit Blocks"`
	Read     int        `json:"Shared Read Blocks"`
	Children []planNode `json:"Plans"`
}

// rowsOf returns the number of rows of a table that were read.
func (n planNode) rowsOf(table string) int {
	var rows int
	if n.Table == table {
		rows = int((n.Rows + n.Removed) * n.Loops)
	}
	for _, child := range n.Children {
		rows += child.rowsOf(table)
	}
	return rows
}

// Promise: a search reads no more cells than it needs. For an institution with a hundred resources
// it reads the first cells in order of time, and not the first of each resource. For a fully booked
// speciality it reads each cell of the period once, and none of other specialities. It reads the
// sources of the schedules only where stale ones are closed, and each once.
func TestSearchReadsLittle(t *testing.T) {
	t.Parallel()
	const resources, days, cellsPerDay, most = 100, 14, 36, 51
	w := newWorld(t)
	// The schedules start two weeks ago. Four of the resources belong to the fully booked
	// speciality.
	w.exec(`DELETE FROM slot`)
	w.exec(`INSERT INTO resource SELECT $1, md5(n::text)::uuid, 'doctor', 'Врач', CASE WHEN n <= 4 THEN 'full' ELSE 'free' END FROM generate_series(1, $2) n`, w.to, resources)
	w.exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type, taken)
		SELECT $1, gen_random_uuid(), row_number() OVER (), md5(n::text)::uuid, start_at, start_at + interval '15 minutes', 12, 1, (n <= 4)::integer
		FROM generate_series(1, $2) n, generate_series(-$3::integer, $3 - 1) day, generate_series(0, $4 - 1) cell
		CROSS JOIN LATERAL (SELECT $5::timestamptz + make_interval(days => day, mins => 15 * cell) AS start_at) t`, w.to, resources, days, cellsPerDay, w.firstStart)
	w.exec(`INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at)
		SELECT $1, md5(n::text)::uuid, 1, $3::timestamptz - make_interval(hours => n) FROM generate_series(1, $2) n`, w.to, resources, moment)
	w.exec(`VACUUM ANALYZE slot, resource, schedule_source`)

	traced := new(lastStatement)
	store := w.store(func(config *pgxpool.Config) { addTracer(config, traced) })
	read := func(scan booking.SlotScan) (cells, sources, pages int, found []booking.FoundSlot) {
		t.Helper()
		scan.Lpu, scan.From, scan.To, scan.Most, scan.Difficulty = w.to, w.firstStart, w.firstStart.AddDate(0, 0,
			days), most, 1
		scan.Person, scan.Now, scan.Access, scan.Restrictions = w.patient.Person, moment, 8, booking.Restrictions
		slots, err := store.ScanSlots(t.Context(), []booking.SlotScan{scan})
		require.NoError(t, err)
		var plans []struct{ Plan planNode }
		explain := "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + traced.query.SQL
		require.NoError(t, store.pool.QueryRow(t.Context(), explain, traced.query.Args...).Scan(&plans))
		plan := plans[0].Plan
		return plan.rowsOf("slot"), plan.rowsOf("schedule_source"), plan.Hit + plan.Read, slots[0]
	}

	cells, sources, pages, found := read(booking.SlotScan{})
	require.Len(t, found, most)
	require.Zero(t, sources)
	require.LessOrEqual(t, cells, most+resources+1,
		"the cells that start with the last one, and one more to detect the end")
	require.Less(t, pages, 2*resources+3*most, "a page for each cell and its resource, and index pages")

	full := "full"
	cells, sources, pages, found = read(booking.SlotScan{Speciality: &full})
	require.Empty(t, found)
	require.Zero(t, sources)
	require.Equal(t, 4*days*cellsPerDay, cells)
	heap := w.count(`SELECT count(DISTINCT (ctid::text::point)[0]) FROM slot WHERE lpu_guid = $1 AND taken = capacity`, w.to)
	require.Less(t, pages, heap+100, "each page of cells once, and index pages")

	_, sources, _, found = read(booking.SlotScan{FreshSince: new(moment.Add(-50 * time.Hour))})
	require.Len(t, found, most)
	require.LessOrEqual(t, sources, 2*resources, "once for the cells, and once for the resources returned")
	for _, slot := range found {
		require.False(t, slot.Resource.Stale)
	}
	free := "free"
	cells, sources, _, found = read(booking.SlotScan{Speciality: &free, FreshSince: new(moment.Add(-50 * time.Hour))})
	require.Len(t, found, most)
	require.LessOrEqual(t, sources, 3*resources)
	require.LessOrEqual(t, cells, (50-4)*(most+1), "none of stale resources")
}

// Promise: with prepared statements a search that finds no free cell takes four round trips: the
// patient's institutions, the facts, the period, and the days after it.
func TestSearchWithoutResultTakesFourRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`UPDATE slot SET taken = capacity`)
	var count roundTrips
	service := booking.NewService(w.store(count.countOn).Ports(), func() time.Time { return moment })
	search := func() {
		page, err := service.Slots(t.Context(), w.patient, booking.SlotSearch{Direction: w.direction, Limit: 50})
		require.NoError(t, err)
		require.Equal(t, &booking.SlotPage{Type: booking.Consult, Holder: w.from}, page)
	}
	search()
	require.Equal(t, 4, count.during(search))
}

// Promise: a booking updates a cell in place (a HOT update): no index contains a column that
// bookings and holds change.
func TestBookingUpdatesStayHOT(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Zero(t, w.count(`
		SELECT count(*)
		FROM pg_index i
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname IN ('taken', 'holds')
		WHERE i.indrelid = 'slot'::regclass
			AND (a.attnum = ANY(i.indkey) OR EXISTS (SELECT FROM pg_depend d WHERE d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))`))
}
