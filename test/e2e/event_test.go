package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// follower follows the feed as an institution's system does.
type follower struct {
	*registrar

	token string
	next  string
}

// startFollower returns a follower at the end of the feed, for the given institutions, or all.
func (r *registrar) startFollower(lpus ...uuid.UUID) *follower {
	r.T.Helper()
	scopes := []string{booking.ScopeEventsRead}
	f := &follower{registrar: r, token: r.SystemToken(r.AddSystemClient(scopes, lpus...), scopes, lpus...)}
	f.next = f.read("after=latest").Next
	return f
}

func (f *follower) get(query string) harness.Answer {
	f.T.Helper()
	return f.GetAs(f.token, "/events?"+query)
}

func (f *follower) read(query string) api.EventPage {
	f.T.Helper()
	return harness.Decode[api.EventPage](f.T, f.get(query))
}

// follow returns the next events. It waits for the first one.
func (f *follower) follow(count int) (all []api.Event) {
	f.T.Helper()
	for len(all) < count {
		page := f.read("wait=20&after=" + url.QueryEscape(f.next))
		require.NotEmpty(f.T, page.Items, "%d of %d events", len(all), count)
		all, f.next = append(all, page.Items...), page.Next
	}
	return all
}

// types returns the types of events, each with its institution.
func types(list []api.Event) (names []string) {
	for _, e := range list {
		names = append(names, e.Type+" "+e.Data.LpuGUID.String())
	}
	return names
}

// Promise: a reader of a feed without events goes on with its next.
func TestEmptyFeed(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	f := r.startFollower(r.To)
	page := f.read("")
	require.Empty(t, page.Items)
	require.Empty(t, f.read("after="+page.Next).Items)
}

// Promise: a reader gets the end of the feed at once, also if it asks to wait.
func TestEndOfFeedNeverWaits(t *testing.T) {
	t.Parallel()
	f := startRegistrar(t).startFollower()
	began := time.Now()
	page := f.read("after=latest&wait=20")
	require.Less(t, time.Since(began), 10*time.Second)
	require.Empty(t, page.Items)
	require.NotEmpty(t, page.Next)
}

// Promise: every change of a visit and of its referral writes an event to the institution of the
// visit and to the one that holds the referral. It names the objects and the version, and nobody.
func TestEventsOfAVisit(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	region, to, from := r.startFollower(), r.startFollower(r.To), r.startFollower(r.From)

	visit := r.MustBook()
	list := region.follow(2)
	require.Equal(t, []string{
		"appointment.booked " + r.To.String(), "referral.booked " + r.From.String(),
	}, types(list))
	require.Equal(t, api.EventData{
		LpuGUID: r.To, AppointmentGUID: &visit, DirectionGUID: &r.Direction, ResourceGUID: &r.Doctor,
		Version: new(int64(1)),
	}, list[0].Data)
	require.Equal(t, visit.String(), list[0].Subject)
	require.Equal(t, r.Direction.String(), list[1].Subject)
	require.Equal(t, "/lpus/"+r.To.String(), list[0].Source)
	require.NotEqual(t, list[0].ID, list[1].ID)

	moved := r.Move(r.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 2})
	require.Equal(t, http.StatusOK, moved.StatusCode)
	list = to.follow(2)
	require.Equal(t, []string{"appointment.booked " + r.To.String(), "appointment.moved " + r.To.String()}, types(list))
	require.EqualValues(t, 2, *list[1].Data.Version)
	require.Equal(t, http.StatusOK, r.Cancel(r.Person, visit).StatusCode)
	require.Equal(t, []string{
		"referral.booked " + r.From.String(), "referral.booked " + r.From.String(),
		"referral.released " + r.From.String(),
	}, types(from.follow(3)))
	list = to.follow(1)
	require.Equal(t, "appointment.cancelled", list[0].Type)
	require.EqualValues(t, 3, *list[0].Data.Version)
	require.Equal(t, fmt.Sprintf("%020d", 3), list[0].Sequence)

	require.Equal(t, http.StatusOK, r.Cancel(r.Person, visit).StatusCode)
	require.Empty(t, to.read("after="+url.QueryEscape(to.next)).Items, "a repetition changes nothing")
	r.RequireInvariants()
}

// Promise: a message that changes a schedule or a referral writes an event with its version; one
// that changes nothing, or is rejected, writes none.
func TestEventsOfTheRegistry(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	f := r.startFollower(r.To)
	r.mustPutDay(1, "keep", r.cell(0), r.cell(1))
	r.mustPutDay(1, "keep", r.cell(0), r.cell(1))
	r.putDay(1, "keep", r.cell(0)).RequireRefusal(t, "version_conflict")
	absence := uuid.New()
	added := r.putAbsence(absence, "2019-08-21T00:00:00+03:00", "2019-08-21T12:00:00+03:00")
	require.Equal(t, http.StatusOK, added.StatusCode)
	lifted := r.send(http.MethodDelete, r.resource()+"/absences/"+absence.String(), nil)
	require.Equal(t, http.StatusOK, lifted.StatusCode)

	list := f.follow(3)
	require.Len(t, list, 3)
	for i, version := range []*int64{new(int64(1)), nil, nil} {
		require.Equal(t, "schedule.changed", list[i].Type)
		require.Equal(t, r.Doctor.String(), list[i].Subject)
		require.Equal(t, version, list[i].Data.Version)
		require.True(t, list[i].Data.From.Equal(time.Date(2019, 8, 20, 21, 0, 0, 0, time.UTC)))
	}
	require.True(t, list[0].Data.To.Equal(time.Date(2019, 8, 21, 21, 0, 0, 0, time.UTC)))
}

// Promise: a request that waits gets an event as soon as there is one of its institutions and
// types, and an empty page with a place to go on if there is none.
func TestWaitingForEvents(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	to, from := r.startFollower(r.To), r.startFollower(r.From)
	const readers = 50
	waiting := make(chan api.EventPage, readers)
	for range readers {
		go func() {
			waiting <- to.read("wait=20&type=appointment.booked&after=" + url.QueryEscape(to.next))
		}()
	}
	r.mustPutDay(1, "keep", r.cell(0), r.cell(1))
	began := time.Now()
	r.MustBook()
	for range readers {
		page := <-waiting
		require.Equal(t, []string{"appointment.booked " + r.To.String()}, types(page.Items))
	}
	require.Less(t, time.Since(began), 15*time.Second, "nobody waits until the end")

	from.follow(1)
	page := from.read("wait=1&after=" + url.QueryEscape(from.next))
	require.Empty(t, page.Items)
	require.False(t, page.More)
	require.Equal(t, page.Items, from.read("after="+url.QueryEscape(page.Next)).Items)
}

// Promise: a system reads the events of its institutions only, with the scope for it, and a page is
// followed by the next one without a gap.
func TestFeedOfInstitutions(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	region, to := r.startFollower(), r.startFollower(r.To)
	for version := range 5 {
		r.mustPutDay(version+1, "keep", r.cell(version))
	}
	require.Len(t, to.follow(5), 5)
	var all []api.Event
	for page := (api.EventPage{Next: region.next, More: true}); page.More; {
		page = region.read("limit=2&after=" + url.QueryEscape(page.Next))
		require.LessOrEqual(t, len(page.Items), 2)
		all = append(all, page.Items...)
	}
	require.Len(t, all, 5)
	for i, e := range all {
		require.Equal(t, fmt.Sprintf("%020d", i+1), e.Sequence)
	}
	require.Equal(t, all, region.read("").Items, "from the first one that is kept")
	require.Equal(t, all, region.read("lpuGuid="+r.To.String()).Items)
	require.Empty(t, region.read("lpuGuid="+r.From.String()).Items)
	require.Empty(t, region.read("type=appointment.booked").Items)
	require.Equal(t, all, region.read("type=appointment.booked&type=schedule.changed").Items)

	to.get("lpuGuid="+r.From.String()).RequireRefusal(t, "institution_foreign")
	region.get("lpuGuid="+uuid.NewString()).RequireRefusal(t, "lpu_absent")
	region.get("after=latest&lpuGuid="+uuid.NewString()).RequireRefusal(t, "lpu_absent")
	r.GetAs(r.token, "/events").RequireRefusal(t, "scope_missing")
	r.Get(r.Person, "/events").RequireRefusal(t, "token_invalid")
	for query, field := range map[string]string{
		"after=x": "after", "after=": "after", "type=visit": "type", "limit=0": "limit", "limit=1001": "limit",
		"wait=21": "wait", "wait=-1": "wait", "lpuGuid=x": "lpuGuid", "lpuGuid=" + uuid.Nil.String(): "lpuGuid",
	} {
		a := region.get(query)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, field, (*a.Refusal.Details.Fields)[0].Name, query)
	}
}
