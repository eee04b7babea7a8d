package harness

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// The source and the target institution of all patients of AddCrowd.
var (
	CrowdFrom = uuid.MustParse("c4a05000-0000-4000-8000-0000000000f0")
	CrowdTo   = uuid.MustParse("c4a05000-0000-4000-8000-000000000070")
)

// Kinds of CrowdGuid.
const (
	CrowdPerson    = 1
	CrowdDirection = 2
	CrowdSlot      = 3
)

// CrowdGuid returns the guid of an object that AddCrowd inserts. Persons and referrals are numbered
// from 0, cells from 1.
func CrowdGuid(kind, number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("c4a05000-%04d-4000-8000-%012d", kind, number))
}

// AddCrowd inserts patients with a referral each, and two cells for each pair of patients. Every
// sixteenth patient has no card in the target institution.
func (s *Service) AddCrowd(patients int) {
	s.T.Helper()
	for _, sql := range []string{
		`INSERT INTO legal_entity VALUES ('c4a05000-0000-4000-8000-000000000001', 'Юридическое лицо')`,
		`INSERT INTO lpu VALUES ('` + CrowdFrom.String() + `', 'c4a05000-0000-4000-8000-000000000001', '1', 'Источник', 'Europe/Moscow'),
			('` + CrowdTo.String() + `', 'c4a05000-0000-4000-8000-000000000001', '2', 'Цель', 'Europe/Moscow')`,
		`INSERT INTO setting VALUES ('` + CrowdTo.String() + `', '2dr_RecordWithoutMkab', 'true'), ('` + CrowdTo.String() + `', 'PolyclinicCode', '2'),
			('` + CrowdTo.String() + `', 'NoShowReturnsReferral', 'true')`,
		`INSERT INTO client_application VALUES ('` + ClientGuid.String() + `', 'Тест', 95, 95, true)`,
		`INSERT INTO busy_type VALUES (1, 'Прием', true)`,
		`INSERT INTO resource VALUES ('` + CrowdTo.String() + `', '` + CrowdTo.String() + `', 'doctor', 'Врач', '92')`,
		fmt.Sprintf(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
			SELECT lpu, ('c4a05000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, ('c4a05000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'П', 'П', '1980-01-01', 'male', now()
			FROM generate_series(0, %d) i, unnest(ARRAY['%s', '%s']::uuid[]) lpu WHERE lpu = '%s' OR i %% 16 <> 0`, patients-1, CrowdFrom, CrowdTo, CrowdFrom),
		fmt.Sprintf(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, lpu_from_guid, lpu_to_guid)
			SELECT '%s', ('c4a05000-0002-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'Consult', i::text, now(), now() + interval '30 days', now(),
			('c4a05000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, '92', '%[1]s', '%[2]s' FROM generate_series(0, %[3]d) i`, CrowdFrom, CrowdTo, patients-1),
		fmt.Sprintf(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type)
			SELECT '%[1]s', ('c4a05000-0003-4000-8000-' || lpad(i::text, 12, '0'))::uuid, i, '%[1]s', date_trunc('hour', now()) + interval '1 day' + i * interval '1 minute', date_trunc('hour', now()) + interval '1 day' + (i + 1) * interval '1 minute', 127, 1
			FROM generate_series(1, %[2]d) i`, CrowdTo, patients),
		testdb.IndexRows,
		`ANALYZE`,
	} {
		s.Exec(sql)
	}
}

// RequireNothingHalfDone requires that each visit of the crowd is stored as a whole.
func (s *Service) RequireNothingHalfDone() {
	s.T.Helper()
	count, end := s.copied()
	defer end()
	for _, query := range []string{
		// A visit without its one cell, its copy of the referral or its claim, and each of these
		// without its visit. A visit that has ended may have lost its claim.
		`SELECT count(*) FROM appointment a, LATERAL (SELECT a.cancelled_at IS NULL AND a.attendance <> 'no_show' AS in_force) f,
			LATERAL (SELECT EXISTS (SELECT FROM speciality_claim s WHERE s.person_guid = a.person_guid AND s.appointment_guid = a.guid) AS claimed) s WHERE
			cardinality(a.slot_guids) <> CASE WHEN a.out_of_schedule THEN 0 ELSE 1 END
			OR NOT EXISTS (SELECT FROM direction d WHERE d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
				AND d.appointment_guid IS NOT DISTINCT FROM CASE WHEN in_force THEN a.guid END)
			OR claimed AND NOT in_force OR in_force AND NOT claimed AND a.end_at > now()`,
		// A referral that is completed though its visit is not, or the reverse.
		`SELECT count(*) FROM appointment a JOIN direction d ON d.guid = a.direction_guid AND d.appointment_guid = a.guid
			WHERE (a.attendance = 'fulfilled') <> (d.completed_by_guid IS NOT NULL)`,
		`SELECT count(*) FROM direction d WHERE (appointment_guid IS NOT NULL OR copied_from_lpu_guid IS NOT NULL)
			AND NOT EXISTS (SELECT FROM appointment a WHERE a.direction_guid = d.guid AND (d.appointment_guid IS NULL OR a.guid = d.appointment_guid))`,
		`SELECT count(*) FROM speciality_claim s WHERE NOT EXISTS (SELECT FROM appointment a WHERE a.guid = s.appointment_guid)`,
		// A card that the service created, without its policy.
		`SELECT count(*) FROM mkab m WHERE guid <> person_guid
			AND NOT EXISTS (SELECT FROM mkab_policy p WHERE p.lpu_guid = m.lpu_guid AND p.mkab_guid = m.guid)`,
		// Two visits of one referral, each of which was requested once, with one key or none.
		`SELECT count(*) FROM (SELECT FROM appointment GROUP BY direction_guid HAVING count(*) > 1) twice`,
	} {
		require.Zero(s.T, count(query), query)
	}
}

// BuildTalon builds the service with flags of go build, and returns the path of the program.
func BuildTalon(t testing.TB, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "talon")
	args := append([]string{"build", "-o", program}, append(flags, "talon.example/cmd/talon")...)
	output, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}
