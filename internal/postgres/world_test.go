package postgres

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
	"talon.example/migrations"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// moment is the current time of the tests.
var moment = time.Date(2019, 8, 20, 14, 52, 14, 0, time.UTC)

const firstSlot = 101

// world is a database with data for which one booking is allowed: a patient with a referral, and a
// doctor with three free cells.
type world struct {
	t   testing.TB
	url string
	db  *pgxpool.Pool // the test's own connections

	patient          booking.Patient
	direction        uuid.UUID
	from, to         uuid.UUID
	doctor           uuid.UUID
	mkabFrom, mkabTo uuid.UUID
	slots            []uuid.UUID
	firstStart       time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, testdb.New(t))
}

// newWorldIn returns a world in a cluster of the test's own.
func newWorldIn(t testing.TB, url string) *world {
	t.Helper()
	require.NoError(t, migrations.Up(t.Context(), url))
	return newWorldAt(t, url)
}

func newWorldAt(t testing.TB, url string) *world {
	t.Helper()
	w := &world{
		t: t, url: url,
		patient:    booking.Patient{Person: uuid.New(), Client: uuid.New()},
		direction:  uuid.New(),
		from:       uuid.New(),
		to:         uuid.New(),
		doctor:     uuid.New(),
		mkabFrom:   uuid.New(),
		mkabTo:     uuid.New(),
		firstStart: time.Date(2019, 8, 21, 5, 45, 0, 0, time.UTC),
	}
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	testdb.Permit(config.ConnConfig)
	w.db, err = pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(w.db.Close)
	entity := uuid.New()
	w.exec(`INSERT INTO legal_entity VALUES ($1, 'Лицо')`, entity)
	w.exec(`INSERT INTO lpu VALUES ($1, $3, '1', 'Источник', 'Europe/Moscow'), ($2, $3, '2', 'Цель', 'Asia/Vladivostok')`, w.from, w.to, entity)
	w.exec(`INSERT INTO client_application VALUES ($1, 'Тест', 4, 8, true)`, w.patient.Client)
	w.exec(`INSERT INTO busy_type VALUES (1, 'Прием', true), (2, 'Обед', false)`)
	w.addMkab(w.from, w.mkabFrom, w.patient.Person)
	w.addMkab(w.to, w.mkabTo, w.patient.Person)
	w.addDirection(w.direction, w.mkabFrom)
	w.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач', '92')`, w.to, w.doctor)
	for i := range 3 {
		w.slots = append(w.slots, w.addSlot(w.doctor, firstSlot+i, w.firstStart.Add(time.Duration(i)*15*time.Minute)))
	}
	return w
}

// sql replaces @from, @to, @person and @direction in a statement by the world's guids.
func (w *world) sql(statement string) string {
	quote := func(guid uuid.UUID) string { return "'" + guid.String() + "'::uuid" }
	return strings.NewReplacer("@from", quote(w.from), "@to", quote(w.to), "@person", quote(w.patient.Person),
		"@direction", quote(w.direction)).Replace(statement)
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.db.Exec(w.t.Context(), w.sql(sql), args...)
	require.NoError(w.t, err)
}

func (w *world) count(sql string, args ...any) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.db.QueryRow(w.t.Context(), w.sql(sql), args...).Scan(&n))
	return n
}

func (w *world) addMkab(lpu, guid, person uuid.UUID) {
	w.t.Helper()
	w.exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at) VALUES ($1, $2, $3, 'П', 'П', '1980-02-29', 'male', $4)`,
		lpu, guid, person, moment)
	w.exec(testdb.IndexRows)
}

func (w *world) addDirection(guid, mkab uuid.UUID) {
	w.t.Helper()
	w.exec(`INSERT INTO direction (lpu_guid, guid, type, number, accession_number, date, date_end, created_at, doc_prvd_sender_guid, mkab_guid, reason, comment,
		urgent, flags, speciality_code, speciality_name, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid)
		VALUES ($1, $2, 'Consult', 'N-1', 'A-1', '2019-08-13', '2019-09-12', $4, $2, $3, 'причина', 'комментарий', true, 5, '92', 'Терапия', 'A01.1', 'Тиф', $1, $5)`,
		w.from, guid, mkab, moment, w.to)
}

func (w *world) addSlot(resource uuid.UUID, id int, start time.Time) uuid.UUID {
	w.t.Helper()
	guid := uuid.New()
	w.exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type) VALUES ($1, $2, $3, $4, $5, $6, 12, 1)`,
		w.to, guid, id, resource, start, start.Add(15*time.Minute))
	return guid
}

// request returns the allowed booking with the given number of cells.
func (w *world) request(difficulty int) booking.Request {
	return booking.Request{
		Direction: w.direction, Type: booking.Consult, LpuFrom: w.from, LpuTo: w.to,
		Place: booking.Place{SlotID: firstSlot}, Difficulty: difficulty,
		Comment: "к врачу", IsCito: true,
	}
}

// store returns a store on a pool that is opened as the service does. The changes are applied to
// the configuration of the pool.
func (w *world) store(changes ...func(*pgxpool.Config)) *Store {
	w.t.Helper()
	return w.storeAt(w.url, 30*time.Second, changes...)
}

func (w *world) storeAt(url string, timeout time.Duration, changes ...func(*pgxpool.Config)) *Store {
	w.t.Helper()
	pool, err := Open(w.t.Context(), Options{URL: url, MaxConns: 2, StatementTimeout: timeout})
	require.NoError(w.t, err)
	if len(changes) > 0 {
		config := pool.Config()
		pool.Close()
		for _, change := range changes {
			change(config)
		}
		pool, err = pgxpool.NewWithConfig(w.t.Context(), config)
		require.NoError(w.t, err)
	}
	w.t.Cleanup(pool.Close)
	store := NewStore(pool, time.Hour)
	// The current reference data are read through the test's own pool, because tests count the
	// connections of the store.
	known, err := (&referenceCache{pool: w.db}).load(w.t.Context())
	require.NoError(w.t, err)
	known.invalidate = store.reference.forget
	store.reference.current.Store(known)
	return store
}

// runtimeParam sets a run-time parameter of every connection.
func runtimeParam(name, value string) func(*pgxpool.Config) {
	return func(config *pgxpool.Config) { config.ConnConfig.RuntimeParams[name] = value }
}

// onFirstConnections sets a run-time parameter of the first connections only, as if they were to
// another server.
func onFirstConnections(connections int64, name, value string) func(*pgxpool.Config) {
	var made atomic.Int64
	return func(config *pgxpool.Config) {
		config.BeforeConnect = func(_ context.Context, config *pgx.ConnConfig) error {
			if made.Add(1) <= connections {
				config.RuntimeParams[name] = value
			}
			return nil
		}
	}
}

// facts returns the facts of the allowed booking.
func (w *world) facts(difficulty int) *booking.Facts {
	w.t.Helper()
	facts, err := w.store().Facts(w.t.Context(), w.patient, w.request(difficulty), moment)
	require.NoError(w.t, err)
	return facts
}

// appointment returns the allowed booking, ready to be written.
func (w *world) appointment(difficulty int) booking.NewAppointment {
	w.t.Helper()
	facts := w.facts(difficulty)
	require.Nil(w.t, booking.Check(facts))
	return booking.NewAppointment{
		Guid: uuid.New(), CreatedAt: moment, Patient: w.patient, Request: facts.Request,
		Direction: &facts.Direction.Direction, SourceMkab: facts.Direction.Mkab, Resource: facts.Resource,
		Slots: facts.Slots, Access: facts.Target.Rights.OtherLpu, Mkab: facts.Mkab.Guid,
		Start: facts.Slots[0].Start, End: facts.Slots[len(facts.Slots)-1].End,
		OneActivePerSpeciality: facts.Target.OneActivePerSpeciality, Zone: facts.Target.Zone,
		BookedBy: booking.Booker{Initiator: booking.ByPatient, Client: w.patient.Client},
	}
}

// countWritten counts the rows and values that bookings have written.
func (w *world) countWritten() int {
	w.t.Helper()
	return w.count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment) + (SELECT coalesce(sum(cardinality(slot_guids)), 0) FROM appointment)
		+ (SELECT count(*) FROM speciality_claim) + (SELECT count(*) FROM direction WHERE appointment_guid IS NOT NULL OR copied_from_lpu_guid IS NOT NULL)`)
}

// holdLocks begins a transaction and runs a statement. end rolls it back.
func (w *world) holdLocks(sql string) (_ pgx.Tx, end func()) {
	w.t.Helper()
	tx, err := w.db.Begin(w.t.Context())
	require.NoError(w.t, err)
	end = sync.OnceFunc(func() { _ = tx.Rollback(context.WithoutCancel(w.t.Context())) })
	w.t.Cleanup(end)
	_, err = tx.Exec(w.t.Context(), w.sql(sql))
	require.NoError(w.t, err)
	return tx, end
}

// whileBlocked runs a call that waits for a lock of the statement. do gets the process id of the
// waiting session.
func (w *world) whileBlocked(call func() error, sql string, do func(tx pgx.Tx, pid int)) error {
	w.t.Helper()
	tx, end := w.holdLocks(sql)
	failed := make(chan error, 1)
	go func() { failed <- call() }()
	do(tx, testdb.WaitForBlocked(w.t, w.db, 0))
	err := <-failed
	end()
	return err
}

// reverseSlots inserts the three cells again in reverse order of time, also by guid.
func (w *world) reverseSlots() {
	w.t.Helper()
	w.exec(`DELETE FROM slot`)
	w.slots = nil
	for i := range 3 {
		guid := uuid.UUID{0: byte(i + 1), 15: 1}
		start := w.firstStart.Add(time.Duration(2-i) * 15 * time.Minute)
		w.exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type) VALUES ($1, $2, $3, $4, $5, $6, 12, 1)`,
			w.to, guid, firstSlot+2-i, w.doctor, start, start.Add(15*time.Minute))
	}
}

// unlocked returns which of the original referral, the speciality and the cells are not locked.
func (w *world) unlocked() []string {
	w.t.Helper()
	var free []string
	for _, sql := range []string{
		`SELECT 'referral' FROM direction WHERE lpu_guid = @from FOR UPDATE SKIP LOCKED`,
		`SELECT 'speciality' FROM speciality_claim WHERE person_guid = @person FOR UPDATE SKIP LOCKED`,
		`SELECT 'cell ' || id FROM slot WHERE lpu_guid = @to ORDER BY id FOR UPDATE SKIP LOCKED`,
	} {
		rows, err := w.db.Query(w.t.Context(), w.sql(sql))
		require.NoError(w.t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(w.t, err)
		free = append(free, found...)
	}
	return free
}

// create writes a booking and returns the error.
func create(t testing.TB, store *Store, a booking.NewAppointment) error {
	t.Helper()
	held, err := store.Create(t.Context(), a)
	require.Equal(t, err == nil, held != nil, "a result or an error")
	return err
}

// requireRefusal requires that an error is the refusal by a rule, and returns it.
func requireRefusal(t testing.TB, err error, rule booking.Name) *booking.Refusal {
	t.Helper()
	var refusal *booking.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, rule, refusal.Rule, "%v", err)
	return refusal
}

// requireSQLState requires that an error has an SQLSTATE of the database.
func requireSQLState(t testing.TB, err error, state string) {
	t.Helper()
	require.ErrorContains(t, err, "SQLSTATE "+state)
}

// requireConnectionsReleased requires that all connections of the pool are released.
func requireConnectionsReleased(t testing.TB, store *Store) {
	t.Helper()
	// The pool closes a broken connection in a goroutine of its own.
	require.Eventually(t, func() bool {
		return store.pool.Stat().AcquiredConns() == 0
	}, 20*time.Second, time.Millisecond, "a connection is not released")
}

// commitHook calls do before the first commit of a pool.
type commitHook struct {
	do   func(*pgx.Conn)
	once sync.Once
}

// TraceQueryStart implements pgx.QueryTracer.
func (h *commitHook) TraceQueryStart(ctx context.Context, conn *pgx.Conn,
	data pgx.TraceQueryStartData) context.Context {
	if data.SQL == "commit" {
		h.once.Do(func() { h.do(conn) })
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*commitHook) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// beforeCommit calls do before the first commit.
func beforeCommit(do func(*pgx.Conn)) func(*pgxpool.Config) {
	return func(config *pgxpool.Config) { addTracer(config, &commitHook{do: do}) }
}

// sortedGuids returns the guids in a fixed order.
func sortedGuids(guids []uuid.UUID) []uuid.UUID {
	guids = slices.Clone(guids)
	slices.SortFunc(guids, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	return guids
}
