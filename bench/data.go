package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"talon.example/internal/postgres"
	"talon.example/migrations"
)

const (
	loaders   = 4       // connections that load rows
	chunkRows = 100_000 // rows per COPY
)

// ensureData returns the region of a scale. It creates the data if they do not exist, if their
// first cells have begun or begin within an hour, or if the schema has changed.
func ensureData(ctx context.Context, server *server, scale float64, progress io.Writer) (Region, error) {
	database := databaseName(scale)
	region, err := readRegion(ctx, server, scale)
	if err == nil && time.Until(region.Expires()) > time.Hour {
		return region, nil
	}
	if err != nil {
		fmt.Fprintf(progress, "scale %g: %v\n", scale, err)
	}
	region = NewRegion(scale, time.Now())
	fmt.Fprintf(progress,
		"creating the data of scale %g: %d institutions, %d resources, %d cells, %d referrals, %d persons\n", scale,
		region.Lpus, region.Resources, region.Cells(), region.Referrals, region.Persons)
	if err := server.recreate(ctx, database); err != nil {
		return Region{}, err
	}
	if err := migrations.Up(ctx, server.url(database)); err != nil {
		return Region{}, err
	}
	return region, fill(ctx, server.url(database), region, progress)
}

// readRegion returns the region of the existing data. It returns an error if they are incomplete or
// of another schema.
func readRegion(ctx context.Context, server *server, scale float64) (Region, error) {
	url := server.url(databaseName(scale))
	latest, err := migrations.Latest()
	if err != nil {
		return Region{}, err
	}
	if current, err := migrations.Current(ctx, url); err != nil || current != latest {
		return Region{}, errors.Join(errors.New("the data have another schema"), err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return Region{}, fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var firstDay time.Time
	row := conn.QueryRow(ctx, "SELECT first_day FROM bench.region WHERE schema = $1", schemaSum())
	if err := row.Scan(&firstDay); err != nil {
		return Region{}, fmt.Errorf("read the first day of the schedules: %w", err)
	}
	return NewRegion(scale, firstDay.AddDate(0, 0, -1)), nil
}

// schemaSum returns a hash of the migrations, which identifies the schema.
func schemaSum() string {
	sum := sha256.New()
	names, _ := migrations.FS.ReadDir(".") // reading an embedded directory cannot fail
	for _, name := range names {
		text, _ := migrations.FS.ReadFile(name.Name())
		_, _ = sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// fill loads all rows of the region into the empty tables. It drops the indexes and constraints
// first and restores them afterwards, because that is many times faster.
func fill(ctx context.Context, url string, region Region, progress io.Writer) error {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("parse the URL of the database: %w", err)
	}
	config.MaxConns = loaders
	config.ConnConfig.RuntimeParams["maintenance_work_mem"] = "512MB"
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		postgres.RegisterUUID(conn.TypeMap())
		types, err := conn.LoadTypes(ctx,
			[]string{"resource_kind", "slot_restriction", "sex", "direction_type", "card_key_kind"})
		if err == nil {
			conn.TypeMap().RegisterTypes(types)
		}
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()

	start := time.Now()
	restore, err := dropConstraints(ctx, pool)
	if err != nil {
		return err
	}
	if err := copyTables(ctx, pool, region, progress); err != nil {
		return err
	}
	fmt.Fprintf(progress, "  rows loaded after %s; creating indexes and constraints\n",
		time.Since(start).Round(time.Second))
	if err := restore(ctx); err != nil {
		return err
	}
	fmt.Fprintf(progress, "  constraints created after %s; collecting statistics\n",
		time.Since(start).Round(time.Second))
	for _, sql := range []string{
		"VACUUM (FREEZE, ANALYZE)",
		"CREATE SCHEMA bench",
		"CREATE TABLE bench.region (first_day timestamptz NOT NULL, schema text NOT NULL)",
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	if _, err := pool.Exec(ctx, "INSERT INTO bench.region VALUES ($1, $2)", region.FirstDay, schemaSum()); err != nil {
		return fmt.Errorf("record that the data are complete: %w", err)
	}
	fmt.Fprintf(progress, "  done after %s\n", time.Since(start).Round(time.Second))
	return nil
}

// dropConstraints drops all keys, foreign keys and indexes, and returns a function that creates
// them again.
func dropConstraints(ctx context.Context, pool *pgxpool.Pool) (restore func(context.Context) error, err error) {
	const foreign = `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint
		WHERE contype = 'f' AND connamespace = 'public'::regnamespace`
	const keys = `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint
		WHERE contype IN ('p', 'u') AND connamespace = 'public'::regnamespace`
	const indexes = `
		SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
		FROM pg_index
		JOIN pg_class c ON c.oid = indrelid
		WHERE c.relnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`
	var creates [3][]string
	for i, catalogue := range []string{foreign, keys, indexes} {
		rows, err := pool.Query(ctx, catalogue)
		if err != nil {
			return nil, fmt.Errorf("read the constraints: %w", err)
		}
		var drops []string
		var drop, create string
		_, err = pgx.ForEachRow(rows, []any{&drop, &create}, func() error {
			drops = append(drops, drop)
			creates[i] = append(creates[i], create)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the constraints: %w", err)
		}
		for _, sql := range drops {
			if _, err := pool.Exec(ctx, sql); err != nil {
				return nil, fmt.Errorf("%s: %w", sql, err)
			}
		}
	}
	return func(ctx context.Context) error {
		// Keys are created before the foreign keys that refer to them. A foreign key locks two
		// tables, so these are created one at a time to prevent deadlocks.
		return errors.Join(
			executeAll(ctx, pool, append(creates[1], creates[2]...), loaders),
			executeAll(ctx, pool, creates[0], 1),
		)
	}, nil
}

// executeAll executes the statements, at most the given number at the same time, and returns the
// first error.
func executeAll(ctx context.Context, pool *pgxpool.Pool, statements []string, concurrency int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for _, sql := range statements {
		group.Go(func() error {
			if _, err := pool.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// table describes rows to copy into a table. row returns the row with a number from 0 to count-1.
type table struct {
	name    string
	columns []string
	count   int64
	row     func(n int64) []any
}

// copyTables copies all rows, with several concurrent COPY commands, and reports its progress.
func copyTables(ctx context.Context, pool *pgxpool.Pool, region Region, progress io.Writer) error {
	tables := region.tables()
	var done, total int64
	for _, t := range tables {
		total += t.count
	}
	stop := make(chan struct{})
	defer close(stop)
	go reportProgress(progress, &done, total, stop)

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(loaders)
	for _, t := range tables {
		for from := int64(0); from < t.count; from += chunkRows {
			group.Go(func() error {
				n, to := from, min(from+chunkRows, t.count)
				_, err := pool.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
					if n == to {
						return nil, nil
					}
					n++
					return t.row(n - 1), nil
				}))
				if err != nil {
					return fmt.Errorf("copy into %s: %w", t.name, err)
				}
				atomic.AddInt64(&done, to-from)
				return nil
			})
		}
	}
	return group.Wait()
}

func reportProgress(w io.Writer, done *int64, total int64, stop <-chan struct{}) {
	const million = 1e6
	ticker := time.NewTicker(3 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			rows := atomic.LoadInt64(done)
			fmt.Fprintf(w, "  %3d%%  %.1f of %.1f million rows\n",
				100*rows/total, float64(rows)/million, float64(total)/million)
		}
	}
}

// tables returns all rows of the region, in an arbitrary order of tables.
func (r Region) tables() []table {
	written := r.FirstDay.AddDate(0, 0, -10)
	born := time.Date(1980, 2, 29, 0, 0, 0, 0, time.UTC)
	card := func(kind string, lpu, person int64) []any {
		return []any{
			guid(kindLpu, lpu), guid(kind, person), guid(kindPerson, person), "Пациент",
			"Номер " + strconv.FormatInt(person, 10), "Нагрузочный", born, "female", snils(person), false, false,
			written,
		}
	}
	cardColumns := []string{
		"lpu_guid", "guid", "person_guid", "surname", "name", "patronymic", "birth_date", "sex", "snils", "disabled",
		"pregnant", "created_at",
	}
	policyColumns := []string{"lpu_guid", "mkab_guid", "number"}
	keyColumns := []string{"kind", "value", "lpu_guid", "mkab_guid"}
	const keyKinds = 3
	key := func(n, lpu int64, mkab uuid.UUID, person int64) []any {
		kinds := [keyKinds][]any{{"guid", mkab.String()}, {"snils", snils(person)}, {"policy", " " + policy(person)}}
		return append(kinds[n%keyKinds], guid(kindLpu, lpu), mkab)
	}
	return []table{
		{"legal_entity", []string{"guid", "name"}, legalEntities, func(n int64) []any {
			return []any{guid(kindEntity, n), "Юридическое лицо " + strconv.FormatInt(n, 10)}
		}},
		{"lpu", []string{"guid", "legal_entity_guid", "code", "name", "time_zone"}, r.Lpus + 1, func(n int64) []any {
			return []any{
				guid(kindLpu, n), guid(kindEntity, n%legalEntities), strconv.FormatInt(1000+n, 10),
				"Поликлиника " + strconv.FormatInt(n, 10), "Europe/Moscow",
			}
		}},
		{
			"client_application",
			[]string{"guid", "name", "visit_direction", "visit_direction_other_lpu", "out_of_schedule"},
			1,
			func(int64) []any {
				return []any{guid(kindClient, clientNumber), "Портал", 4, 12, false}
			},
		},
		{"busy_type", []string{"code", "name", "reception"}, 4, func(n int64) []any {
			return []any{n + 1, []string{"Прием", "Перерыв", "Вызов на дом", "Обучение"}[n], n == 0}
		}},
		{"setting", []string{"owner_guid", "code", "value"}, 1, func(int64) []any {
			return []any{[16]byte{}, "OneActiveAppointmentPerSpeciality", "true"}
		}},
		{
			"resource",
			[]string{"lpu_guid", "guid", "kind", "name", "speciality_code"},
			r.Resources + 1,
			func(n int64) []any {
				return []any{
					guid(kindLpu, r.lpuOf(n)), guid(kindResource, n), "doctor", resourceName(n), r.speciality(n),
				}
			},
		},
		{
			"slot",
			[]string{
				"lpu_guid", "guid", "id", "resource_guid", "start_at", "end_at", "capacity", "flag_access", "busy_type",
			},
			(r.Resources + 1) * cellsPerResource,
			func(n int64) []any {
				resource, cell := n/cellsPerResource, n%cellsPerResource
				id, start, capacity := slotID(resource, cell), r.cellStart(cell), 1
				if cell == fullCell {
					capacity = 0
				}
				return []any{
					guid(kindLpu, r.lpuOf(resource)), guid(kindSlot, id), id, guid(kindResource, resource), start,
					start.Add(cellLength), capacity, 95, 1,
				}
			},
		},
		{
			"mip_person", []string{"guid"}, r.Persons + r.Rushers,
			func(n int64) []any { return []any{guid(kindPerson, n)} },
		},
		{
			"mip_person_data",
			[]string{"person_guid", "surname", "name", "patronymic", "birth_date", "sex", "snils", "policy_number"},
			r.Persons + r.Rushers,
			func(n int64) []any {
				return []any{
					guid(kindPerson, n), "Пациент", "Номер " + strconv.FormatInt(n, 10), "Нагрузочный", born, "female",
					snils(n), policy(n),
				}
			},
		},
		{"mkab", cardColumns, r.Persons + r.Rushers, func(n int64) []any { return card(kindHome, r.homeOf(n), n) }},
		{"mkab", cardColumns, r.Referrals + r.Rushers, func(n int64) []any {
			b := r.ofReferral(n)
			return card(kindAway, b.To, b.Person)
		}},
		{"mkab_policy", policyColumns, r.Persons + r.Rushers, func(n int64) []any {
			return []any{guid(kindLpu, r.homeOf(n)), guid(kindHome, n), policy(n)}
		}},
		{"mkab_policy", policyColumns, r.Referrals + r.Rushers, func(n int64) []any {
			b := r.ofReferral(n)
			return []any{guid(kindLpu, b.To), guid(kindAway, b.Person), policy(b.Person)}
		}},
		{"person_lpu", []string{"person_guid", "lpu_guid"}, r.Persons + r.Rushers, func(n int64) []any {
			return []any{guid(kindPerson, n), guid(kindLpu, r.homeOf(n))}
		}},
		{"person_lpu", []string{"person_guid", "lpu_guid"}, r.Referrals + r.Rushers, func(n int64) []any {
			b := r.ofReferral(n)
			return []any{guid(kindPerson, b.Person), guid(kindLpu, b.To)}
		}},
		{"card_key", keyColumns, keyKinds * (r.Persons + r.Rushers), func(n int64) []any {
			return key(n, r.homeOf(n/keyKinds), guid(kindHome, n/keyKinds), n/keyKinds)
		}},
		{"card_key", keyColumns, keyKinds * (r.Referrals + r.Rushers), func(n int64) []any {
			b := r.ofReferral(n / keyKinds)
			return key(n, b.To, guid(kindAway, b.Person), b.Person)
		}},
		// One person in ten has an open case of treatment.
		{"tap", []string{"lpu_guid", "guid", "mkab_guid", "opened_on"}, r.Persons / 10, func(n int64) []any {
			return []any{guid(kindLpu, r.homeOf(10*n)), guid(kindTap, n), guid(kindHome, 10*n), written}
		}},
		{
			"direction",
			[]string{
				"lpu_guid", "guid", "id", "type", "number", "date", "date_end", "created_at", "doc_prvd_sender_guid",
				"mkab_guid", "reason", "speciality_code", "speciality_name", "mkb_code", "mkb_name", "lpu_from_guid",
				"lpu_to_guid",
			},
			r.Referrals + r.Rushers,
			func(n int64) []any {
				b := r.ofReferral(n)
				from := guid(kindLpu, b.From)
				return []any{
					from, guid(kindReferral, n), n + 1, "Consult", referralNumber(n), written,
					written.AddDate(0, 0, 60), written, guid(kindSender, b.From), guid(kindHome, b.Person),
					"Уточнение диагноза", r.speciality(b.Resource), "Специальность " + r.speciality(b.Resource),
					"A01.1", "Паратиф A", from, guid(kindLpu, b.To),
				}
			},
		},
	}
}

// lpuOf returns the institution of a resource.
func (r Region) lpuOf(resource int64) int64 {
	if resource == r.Resources {
		return r.Lpus
	}
	return resource % r.Lpus
}

// homeOf returns the institution that a person belongs to. For a person with a referral it is the
// one that issued it.
func (r Region) homeOf(person int64) int64 {
	switch {
	case person < r.Referrals:
		return r.ofReferral(person).From
	case person < r.Persons:
		return person % r.Lpus
	default:
		return r.Rush(person - r.Persons).From
	}
}

// ofReferral returns the booking of the referral with the number n.
func (r Region) ofReferral(n int64) Booking {
	if n >= r.Referrals {
		return r.Rush(n - r.Referrals)
	}
	return r.bookingOf(n)
}

func resourceName(n int64) string   { return "Врач номер " + strconv.FormatInt(n, 10) }
func referralNumber(n int64) string { return strconv.FormatInt(firstReferralNumber+n, 10) }
func policy(person int64) string    { return fmt.Sprintf("%016d", person) }
func snils(person int64) string     { return fmt.Sprintf("%011d", person) }
