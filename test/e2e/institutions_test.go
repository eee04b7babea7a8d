package e2e_test

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// Promise: a referral's institutions are those of its legal entity that have cells for it, each
// with the first free time and with the rule that rejects all its cells. A referral that names none
// leads to every institution.
func TestInstitutions(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	neighbour := sc.AddLpu(sc.To, "Asia/Kamchatka")
	closed, empty := sc.AddLpu(sc.To, "Europe/Moscow"), sc.AddLpu(sc.To, "Europe/Moscow")
	sc.AddSlotIn(neighbour, 1, harness.Moment.Add(time.Hour))
	sc.AddSlotIn(closed, 1, harness.Moment.Add(time.Hour))
	sc.AddSlotIn(empty, 1, harness.Moment.Add(-time.Hour))
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, harness.Moment, closed)
	foreign := sc.AddLpu(sc.To, "Europe/Moscow")
	sc.AddSlotIn(foreign, 1, harness.Moment.Add(2*time.Hour))
	entity := uuid.New()
	sc.Exec(`INSERT INTO legal_entity VALUES ($1, 'Чужое')`, entity)
	sc.Exec(`UPDATE lpu SET legal_entity_guid = $1 WHERE guid = $2`, entity, foreign)

	want := map[uuid.UUID]string{
		sc.To: "2019-08-21T08:45:00+03:00", neighbour: "2019-08-21T03:52:14+12:00", closed: "mkab_closed",
	}
	require.Equal(t, want, institutions(sc, "?limit=100"))
	require.Equal(t, want, institutions(sc, "?limit=1"))
	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL`)
	want[foreign] = "2019-08-20T19:52:14+03:00"
	require.Equal(t, want, institutions(sc, "?limit=2"))

	sc.Exec(`UPDATE slot SET taken = capacity WHERE lpu_guid = $1`, foreign)
	want[foreign] = "nothing free"
	sc.MustBook()
	for guid := range want {
		want[guid] = "direction_already_booked"
	}
	require.Equal(t, want, institutions(sc, ""))
}

// Promise: a page examines 500 institutions. The next one continues after those without cells for
// the referral.
func TestInstitutionsOfALargeRegion(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`INSERT INTO lpu SELECT gen_random_uuid(), legal_entity_guid, 'one of many ' || n, 'Филиал', time_zone
		FROM lpu, generate_series(1, 1100) n WHERE guid = $1`, sc.To)
	require.Equal(t, map[uuid.UUID]string{sc.To: "2019-08-21T08:45:00+03:00"}, institutions(sc, "?limit=1"))
}

// Promise: an institution whose time zone this build does not know hides no other one.
func TestInstitutionsWithUnknownZone(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	unknown := sc.AddLpu(sc.To, "EET-3EEST") // PostgreSQL accepts such rules, Go only names
	sc.AddSlotIn(unknown, 1, harness.Moment.Add(time.Hour))
	require.Equal(t, map[uuid.UUID]string{sc.To: "2019-08-21T08:45:00+03:00"}, institutions(sc, "?limit=1"))
}

// Promise: the referral of another patient has no institutions, and a cursor of another list is
// rejected.
func TestInstitutionsRejections(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	other, _ := sc.AddPatient()
	sc.Get(other, "/directions/"+sc.Direction.String()+"/institutions").RequireRefusal(t, "direction_absent")
	sc.Get(sc.Person, "/directions/"+uuid.NewString()+"/institutions").RequireRefusal(t, "direction_absent")
	slots := sc.Search(sc.Person, "limit=1")
	for _, cursor := range []string{"x", "e30", *slots.Page.Next} {
		a := sc.Get(sc.Person, "/directions/"+sc.Direction.String()+"/institutions?cursor="+cursor)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, http.StatusBadRequest, a.StatusCode)
	}
}

// institutions returns all institutions of the scene's referral with the first free time of each,
// or else the rule that rejects all cells.
func institutions(sc *harness.Scene, query string) map[uuid.UUID]string {
	sc.T.Helper()
	listed := sc.Institutions(sc.Direction, "Bearer "+sc.Token(sc.Person), query)
	require.True(sc.T, slices.IsSortedFunc(listed, func(a, b api.ServingInstitution) int {
		return bytes.Compare(a.Lpu.GUID[:], b.Lpu.GUID[:])
	}))
	found := map[uuid.UUID]string{}
	for _, item := range listed {
		require.Empty(sc.T, found[item.Lpu.GUID], "listed twice")
		switch {
		case item.BlockedBy != nil:
			require.Nil(sc.T, item.NextAvailable)
			found[item.Lpu.GUID] = item.BlockedBy.Rule
		case item.NextAvailable != nil:
			found[item.Lpu.GUID] = item.NextAvailable.Format(time.RFC3339)
		default:
			found[item.Lpu.GUID] = "nothing free"
		}
	}
	return found
}
