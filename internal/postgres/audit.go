package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"talon.example/gen/db"
	"talon.example/internal/audit"
	"talon.example/internal/booking"
)

// AddRecords implements audit.Store. One statement writes all records, so that they share its round
// trip and its commit. While it fails, no request reads the reference data, which then would find
// only afterwards that their connection is lost, too. So it starts a read of them.
func (s *Store) AddRecords(ctx context.Context, records []audit.Record) error {
	params, err := auditParams(records)
	if err != nil {
		return err
	}
	_, err = retry(ctx, s.pool.Reset, func() (struct{}, error) { return struct{}{}, s.addRecords(ctx, params) })
	if errors.As(err, new(*booking.Refusal)) {
		s.reference.read()
	}
	return err
}

func (s *Store) addRecords(ctx context.Context, params db.AuditAddParams) error {
	queries := db.New(s.pool)
	err := queries.AuditAdd(ctx, params)
	if isState(err, uniqueViolation) {
		// An earlier try has committed, but may have been cut while it waited for the synchronous
		// standby. This commit is safe only after that one.
		_, err := s.pool.Exec(ctx, commitMessage)
		return err
	}
	if !isState(err, checkViolation) {
		return err
	}
	// There is no partition for the month: the first request after the installation, or after a
	// long time without an instance.
	for i, at := range params.At {
		if i > 0 && sameMonth(at, params.At[i-1]) {
			continue
		}
		if err := queries.AuditPartitions(ctx, at.UTC()); err != nil {
			return err
		}
	}
	return queries.AuditAdd(ctx, params)
}

// FindPersons implements audit.Store: messages of the registry name an object of a patient in an
// institution, and not the patient. A booking needs no statement here.
func (s *Store) FindPersons(ctx context.Context, records []audit.Record) error {
	type object struct{ lpu, guid uuid.UUID }
	unknown := map[object][]*audit.Record{}
	var lpus, guids []uuid.UUID
	for i := range records {
		r := &records[i]
		if r.Person != uuid.Nil || r.Status == http.StatusForbidden {
			continue
		}
		named := object{r.Object("lpu"), cmp.Or(r.Object("card"), r.Object("direction"), r.Object("case"))}
		if named.lpu == uuid.Nil || named.guid == uuid.Nil {
			continue
		}
		lpus, guids = append(lpus, named.lpu), append(guids, named.guid)
		unknown[named] = append(unknown[named], r)
	}
	if len(unknown) == 0 {
		return nil
	}
	found, err := retry(ctx, s.pool.Reset, func() ([]db.AuditPersonsRow, error) {
		return db.New(s.pool).AuditPersons(ctx, lpus, guids)
	})
	if err != nil {
		return err
	}
	for _, row := range found {
		for _, r := range unknown[object{row.LpuGuid, row.Guid}] {
			r.Person = row.PersonGuid
		}
	}
	return nil
}

// SQLSTATEs of an insert into the audit.
const (
	uniqueViolation = "23505" // the guids of records are new, so that the records are there
	checkViolation  = "23514" // there is no partition
)

func sameMonth(a, b time.Time) bool { return a.UTC().Format("200601") == b.UTC().Format("200601") }

// isState reports whether an error is one of the database with the SQLSTATE.
func isState(err error, state string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == state
}

func auditParams(records []audit.Record) (db.AuditAddParams, error) {
	var p db.AuditAddParams
	for i := range records {
		r := &records[i]
		objects, err := encodeList(r.Objects)
		if err != nil {
			return p, err
		}
		compared, err := encodeList(r.Compared)
		if err != nil {
			return p, err
		}
		p.At, p.Guid = append(p.At, r.At), append(p.Guid, r.Guid)
		p.PersonGuid, p.ClientGuid = append(p.PersonGuid, r.Person), append(p.ClientGuid, r.Client)
		p.RequestID, p.ActingUser = append(p.RequestID, r.Request), append(p.ActingUser, r.User)
		p.Operation, p.Status = append(p.Operation, r.Operation), append(p.Status, int32(r.Status))
		p.Rule = append(p.Rule, string(r.Rule))
		p.Objects, p.Compared = append(p.Objects, objects), append(p.Compared, compared)
	}
	return p, nil
}

var emptyList = []byte("[]")

func encodeList[T any](list []T) ([]byte, error) {
	if len(list) == 0 {
		return emptyList, nil
	}
	return json.Marshal(list)
}

// Records implements audit.Store. The statement is chosen by what selects the fewest records.
func (s *Store) Records(
	ctx context.Context, filter audit.Filter, after audit.Place, most int,
) ([]audit.Record, error) {
	found, err := s.auditRows(ctx, filter, after, int32(most))
	if err != nil {
		return nil, interpretError(err)
	}
	records := make([]audit.Record, len(found))
	for i := range found {
		if records[i], err = storedRecord(&found[i]); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func (s *Store) auditRows(
	ctx context.Context, filter audit.Filter, after audit.Place, most int32,
) ([]db.AuditRecord, error) {
	queries := db.New(s.pool)
	person, client := nilIfZero(filter.Person), nilIfZero(filter.Client)
	switch {
	case filter.Request != uuid.Nil:
		return queries.AuditOfRequest(ctx, db.AuditOfRequestParams{
			RequestID: filter.Request, FromAt: filter.From, BeforeAt: after.At, BeforeGuid: after.Guid,
			ClientGuid: client, PersonGuid: person, Most: most,
		})
	case person != nil:
		return queries.AuditOfPerson(ctx, db.AuditOfPersonParams{
			PersonGuid: filter.Person, FromAt: filter.From, BeforeAt: after.At, BeforeGuid: after.Guid,
			ClientGuid: client, Most: most,
		})
	case client != nil:
		return queries.AuditOfClient(ctx, db.AuditOfClientParams{
			ClientGuid: filter.Client, FromAt: filter.From, BeforeAt: after.At, BeforeGuid: after.Guid, Most: most,
		})
	default:
		return queries.AuditOfPeriod(ctx, db.AuditOfPeriodParams{
			FromAt: filter.From, BeforeAt: after.At, BeforeGuid: after.Guid, Most: most,
		})
	}
}

func storedRecord(row *db.AuditRecord) (audit.Record, error) {
	record := audit.Record{
		Guid: row.Guid, At: row.At, Request: row.RequestID, Client: row.ClientGuid, User: row.ActingUser,
		Operation: row.Operation, Person: row.PersonGuid, Status: int(row.Status), Rule: booking.Name(row.Rule),
	}
	return record, errors.Join(
		json.Unmarshal(row.Objects, &record.Objects), json.Unmarshal(row.Compared, &record.Compared),
	)
}

// SweepRecords implements audit.Store.
func (s *Store) SweepRecords(ctx context.Context, now time.Time, keptDays int) error {
	queries, today := db.New(s.pool), now.UTC()
	if err := queries.AuditPartitions(ctx, today); err != nil || keptDays == 0 {
		return interpretError(err)
	}
	return interpretError(queries.AuditDropPartitions(ctx, today, int32(keptDays)))
}
