package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/postgres"
	"talon.example/internal/registry"
	"talon.example/migrations"
)

// A small region that lives for three years.
const (
	yearsDatabase  = "talon_bench_years"
	yearsCount     = 3
	weeksOfYear    = 52
	daysOfWeek     = 7
	yearsLpus      = 4
	yearsResources = 25     // of each institution
	yearsPersons   = 500    // the script has the same number
	yearsEvents    = 10_000 // more than a day has
	yearsBound     = 1.3
)

// yearsKept is how long the past is kept, in days.
var yearsKept = registry.RetentionDays{FreeCells: 30, Visits: 365, Referrals: 365}

// yearsReport is the result of the years benchmark.
type yearsReport struct {
	machine Machine
	sizes   []int64 // of the database in bytes, at the end of each year
	cells   []int64 // at the same times
	visits  []int64
	rate    float64 // rows of the past deleted a second, without the rests
}

// runYears lets a region live for some years, a week at a time: schedules and bookings are written,
// the past is swept and the tables are vacuumed.
func runYears(ctx context.Context, server *server, progress io.Writer) (_ *yearsReport, err error) {
	report := &yearsReport{}
	if report.machine, err = describeMachine(ctx, server); err != nil {
		return nil, err
	}
	if err := server.recreate(ctx, yearsDatabase); err != nil {
		return nil, err
	}
	url := server.url(yearsDatabase)
	if err := migrations.Up(ctx, url); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	pool, err := postgres.Open(ctx, postgres.Options{URL: url, MaxConns: 2, StatementTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	now := time.Now().UTC().Truncate(24 * time.Hour)
	store := postgres.NewStore(pool, postgres.ReferenceAge)
	retention := registry.NewRetention(store, yearsKept, func() time.Time { return now })
	if _, err := conn.Exec(ctx, yearsRegion, yearsLpus, yearsResources, yearsPersons); err != nil {
		return nil, fmt.Errorf("create the region: %w", err)
	}
	var deleted int
	var sweeping time.Duration
	for week := range yearsCount * weeksOfYear {
		for range daysOfWeek {
			if err := liveDay(ctx, conn, store, now); err != nil {
				return nil, err
			}
			now = now.AddDate(0, 0, 1)
		}
		began := time.Now()
		rows, err := retention.Sweep(ctx)
		if err != nil {
			return nil, err
		}
		deleted += rows
		sweeping += time.Since(began) / 2 // the other half is rest
		if _, err := conn.Exec(ctx, "VACUUM"); err != nil {
			return nil, fmt.Errorf("vacuum: %w", err)
		}
		if (week+1)%weeksOfYear == 0 {
			if err := report.measure(ctx, conn); err != nil {
				return nil, err
			}
			fmt.Fprintf(progress, "year %d: %d MB\n", len(report.sizes), report.sizes[len(report.sizes)-1]>>20)
		}
	}
	report.rate = float64(deleted) / sweeping.Seconds()
	return report, nil
}

// yearsRegion creates institutions, resources, and persons with a card in each institution.
const yearsRegion = `
WITH entity AS (INSERT INTO legal_entity (guid, name) VALUES (gen_random_uuid(), 'Лицо') RETURNING guid),
lpus AS (
	INSERT INTO lpu (guid, legal_entity_guid, code, name, time_zone)
	SELECT gen_random_uuid(), e.guid, n, 'Учреждение ' || n, 'Europe/Moscow' FROM entity e, generate_series(1, $1::integer) n RETURNING guid
),
kinds AS (INSERT INTO busy_type (code, name, reception) VALUES (1, 'Прием', true)),
resources AS (
	INSERT INTO resource (lpu_guid, guid, kind, name, speciality_code)
	SELECT l.guid, gen_random_uuid(), 'doctor', 'Врач ' || n, 'С' || n FROM lpus l, generate_series(1, $2::integer) n
),
persons AS (SELECT gen_random_uuid() AS guid FROM generate_series(1, $3::integer))
INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
SELECT l.guid, gen_random_uuid(), p.guid, 'Ф', 'И', '1980-01-01', 'male', '2020-01-01Z' FROM lpus l, persons p`

// yearsDay is what a day brings.
//
//go:embed years.sql
var yearsDay string

// liveDay writes what a day brings, and gives its events their places.
func liveDay(ctx context.Context, conn *pgx.Conn, store *postgres.Store, day time.Time) error {
	script := strings.ReplaceAll(yearsDay, ":day", "'"+day.Format(time.RFC3339)+"'::timestamptz")
	if _, err := conn.PgConn().Exec(ctx, script).ReadAll(); err != nil {
		return fmt.Errorf("write a day: %w", err)
	}
	_, err := store.Record(ctx, day, yearsEvents)
	return err
}

// measure adds the size of the database, and the numbers of its cells and visits, to the report.
func (r *yearsReport) measure(ctx context.Context, conn *pgx.Conn) error {
	var size, cells, visits int64
	err := conn.QueryRow(ctx, `SELECT pg_database_size(current_database()), (SELECT count(*) FROM slot), (SELECT count(*) FROM appointment)`).
		Scan(&size, &cells, &visits)
	if err != nil {
		return fmt.Errorf("measure the database: %w", err)
	}
	r.sizes, r.cells, r.visits = append(r.sizes, size), append(r.cells, cells), append(r.visits, visits)
	return nil
}

// markdown writes the report.
func (r *yearsReport) markdown(w io.Writer) error {
	var text strings.Builder
	r.machine.markdown(&text)
	fmt.Fprintf(&text, "Kept: free cells %d days, visits %d, referrals %d.\n\n",
		yearsKept.FreeCells, yearsKept.Visits, yearsKept.Referrals)
	text.WriteString("| year | database, MB | against the first | cells | visits |\n|--:|--:|--:|--:|--:|\n")
	for i, size := range r.sizes {
		fmt.Fprintf(&text, "| %d | %.1f | %.2f | %d | %d |\n", i+1, float64(size)/(1<<20),
			float64(size)/float64(r.sizes[0]), r.cells[i], r.visits[i])
	}
	fmt.Fprintf(&text, "\nThe last year must be at most %.1f of the first. %.0f rows were deleted a second.\n",
		yearsBound, r.rate)
	_, err := io.WriteString(w, text.String())
	return err
}
