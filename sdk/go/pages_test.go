package talon_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

// list returns the guids of the items of a list, in pages of the given size.
type list func(ctx context.Context, api *client.ClientWithResponses, size int32) iter.Seq2[uuid.UUID, error]

// lists are the lists of the first demo patient, and of the system of institution Б.
var lists = map[string]list{
	"AllDirections": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllDirections(ctx, api, &client.ListDirectionsParams{Limit: &size})
		return guids(items, func(item client.PatientDirection) uuid.UUID { return item.GUID })
	},
	"AllAppointments": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllAppointments(ctx, api, &client.ListAppointmentsParams{Limit: &size})
		return guids(items, func(item client.PatientAppointment) uuid.UUID { return item.GUID })
	},
	"AllDirectionInstitutions": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		toAny := numbered("0007", 100000005)
		items := talon.AllDirectionInstitutions(ctx, api, toAny, &client.ListDirectionInstitutionsParams{Limit: &size})
		return guids(items, func(item client.ServingInstitution) uuid.UUID { return item.Lpu.GUID })
	},
	"AllDirectionSlots": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		day := client.Day{Time: time.Now().AddDate(0, 0, 2)}
		items := talon.AllDirectionSlots(ctx, api, numbered("0007", 100000002), &client.ListDirectionSlotsParams{
			Limit: &size, DateFrom: &day, DateTo: &day,
		})
		return guids(items, func(item client.Slot) uuid.UUID { return item.GUID })
	},
	"AllDeliveries": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllDeliveries(ctx, api, systemWebhook, &client.ListDeliveriesParams{Limit: &size})
		return guids(items, func(item client.Delivery) uuid.UUID {
			return uuid.NewSHA1(systemWebhook, fmt.Append(nil, item.Attempt))
		})
	},
	"AllImportErrors": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllImportErrors(ctx, api, badImport(), &client.ListImportErrorsParams{Limit: &size})
		return guids(items, func(item client.ImportError) uuid.UUID {
			return uuid.NewSHA1(item.Error.RequestID, fmt.Append(nil, item.Line))
		})
	},
	"AllResources": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllResources(ctx, api, systemLpu, &client.ListResourcesParams{Limit: &size})
		return guids(items, func(item client.RegisteredResource) uuid.UUID { return item.GUID })
	},
	"AllAudit": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		clientGUID, to := uuid.MustParse(region.ClientID), auditedUntil()
		items := talon.AllAudit(ctx, api, &client.ListAuditParams{ClientGUID: &clientGUID, To: &to, Limit: &size})
		return guids(items, func(item client.AuditRecord) uuid.UUID { return item.GUID })
	},
	"AllSources": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllSources(ctx, api, systemLpu, &client.ListSourcesParams{Limit: &size})
		return guids(items, func(item client.SourceStatus) uuid.UUID { return item.ResourceGUID })
	},
	"AllVisits": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllVisits(ctx, api, systemLpu, &client.ListVisitsParams{Limit: &size})
		return guids(items, func(item client.Visit) uuid.UUID { return item.GUID })
	},
	"AllWork": func(
		ctx context.Context, api *client.ClientWithResponses, size int32,
	) iter.Seq2[uuid.UUID, error] {
		items := talon.AllWork(ctx, api, systemLpu, &client.ListWorkParams{Limit: &size})
		return guids(items, func(item client.WorkItem) uuid.UUID { return item.AppointmentGUID })
	},
}

// systemWebhook is the webhook of systemLpu's system in the demo data.
var systemWebhook = uuid.MustParse("de300000-0010-4000-8000-000000000001")

// badImport returns an import of three bad lines.
var badImport = sync.OnceValue(func() uuid.UUID {
	api := newSystem(server, talon.Options{})
	ctx, file := context.Background(), strings.NewReader("bad\nbad\nbad\n")
	accepted, err := talon.ImportFile(ctx, api, file, talon.ImportOptions{})
	if err == nil {
		_, err = talon.FinishImport(ctx, api, accepted.GUID, nil)
	}
	if err != nil {
		panic(err)
	}
	return accepted.GUID
})

// auditedUntil returns a time after some requests of the region's system. Reading the audit leaves
// records, too, so that without an end the list would grow.
var auditedUntil = sync.OnceValue(func() time.Time {
	api := newSystemOf(server, region, talon.Options{})
	for number := range 3 {
		if _, err := api.GetPersonWithResponse(context.Background(), numbered("0005", number+1)); err != nil {
			panic(err)
		}
	}
	return time.Now()
})

// newListClient returns a client that can read the named list.
func newListClient(t *testing.T, address, list string) *client.ClientWithResponses {
	t.Helper()
	ofSystems := []string{"AllDeliveries", "AllImportErrors", "AllResources", "AllSources", "AllVisits", "AllWork"}
	if slices.Contains(ofSystems, list) {
		return newSystem(address, talon.Options{})
	}
	if list == "AllAudit" {
		return newSystemOf(address, region, talon.Options{})
	}
	api, _ := newClient(t, address, 1, talon.Options{})
	return api
}

// Promise: the tests of this file cover every iterator.
func TestEveryIterator(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("pages.gen.go")
	require.NoError(t, err)
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^func (\w+)`).FindAllSubmatch(source, -1) {
		names = append(names, string(match[1]))
	}
	require.ElementsMatch(t, names, slices.Collect(maps.Keys(lists)))
}

func guids[T any](items iter.Seq2[T, error], guid func(T) uuid.UUID) iter.Seq2[uuid.UUID, error] {
	return func(yield func(uuid.UUID, error) bool) {
		for item, err := range items {
			if !yield(guid(item), err) {
				return
			}
		}
	}
}

// Promise: an iterator yields all items of a list, requests each page once when the loop wants its
// first item, and sends no request after a break. A second loop begins with the first page again.
func TestPages(t *testing.T) {
	t.Parallel()
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := newListClient(t, server, name)
			expected, err := collect(list(t.Context(), direct, 100))
			require.NoError(t, err)
			require.Greater(t, len(expected), 1)

			proxy := newProxy(t, server, pass)
			api := newListClient(t, proxy.url, name)
			single := list(t.Context(), api, 1)
			require.Empty(t, proxy.requests())
			for range 2 {
				before := len(proxy.requests())
				var all []uuid.UUID
				for guid, err := range single {
					require.NoError(t, err)
					all = append(all, guid)
					require.Len(t, proxy.requests(), before+len(all))
				}
				require.Equal(t, expected, all)
			}

			before := len(proxy.requests())
			for range single {
				break
			}
			require.Len(t, proxy.requests(), before+1)
		})
	}
}

// Promise: an iterator starts at the caller's cursor, and does not change the caller's parameters.
func TestPagesFromCursor(t *testing.T) {
	t.Parallel()
	api, _ := newClient(t, server, 1, talon.Options{})
	size := int32(4)
	params := client.ListDirectionsParams{Limit: &size}
	first, err := talon.Answer(api.ListDirectionsWithResponse(t.Context(), &params))
	require.NoError(t, err)
	all, err := collect(talon.AllDirections(t.Context(), api, nil))
	require.NoError(t, err)

	params.Cursor = first.Next
	rest, err := collect(talon.AllDirections(t.Context(), api, &params))
	require.NoError(t, err)
	require.Equal(t, all, append(first.Items, rest...))
	require.Same(t, first.Next, params.Cursor)
}

// Promise: an iterator ends with the error of a page, after the items of the pages before it.
func TestPagesStopOnError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handle proxyHandler
		sent   int
		items  int
		err    string
	}{
		"a foreign page": {
			func(number int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
				if number == 1 {
					forward.ServeHTTP(w, r)
				} else {
					http.Error(w, "Not here", http.StatusNotFound)
				}
			}, 2, 3, "talon: 404 Not Found from an intermediary",
		},
		"the same page for ever": {
			func(_ int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
				query := r.URL.Query()
				query.Del("cursor")
				r.URL.RawQuery = query.Encode()
				forward.ServeHTTP(w, r)
			}, 2, 3, "talon: the next page has the cursor of this page",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := newProxy(t, server, test.handle)
			api, _ := newClient(t, proxy.url, 1, talon.Options{})
			items, err := collect(lists["AllDirections"](t.Context(), api, 3))
			require.EqualError(t, err, test.err)
			require.Len(t, items, test.items)
			require.Len(t, proxy.requests(), test.sent)
		})
	}
	anonymous, err := talon.New(server, talon.Options{})
	require.NoError(t, err)
	_, err = collect(talon.AllDirections(t.Context(), anonymous, nil))
	requireRefusal(t, err, client.RuleTokenMissing)
}

// Promise: cancelling the context ends the iterator before the next request, and during one.
func TestPagesCancellation(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	between := newProxy(t, server, pass)
	api, _ := newClient(t, between.url, 1, talon.Options{})
	var count int
	var last error
	for _, err := range lists["AllDirections"](ctx, api, 3) {
		if last = err; err == nil {
			count++
		}
		cancel()
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Equal(t, 3, count)
	require.Len(t, between.requests(), 1)

	ctx, cancel = context.WithCancel(t.Context())
	during := newProxy(t, server, func(number int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if number == 1 {
			forward.ServeHTTP(w, r)
			return
		}
		cancel()
		<-r.Context().Done()
	})
	api, _ = newClient(t, during.url, 1, talon.Options{})
	items, err := collect(lists["AllDirections"](ctx, api, 3))
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, items, 3)
	require.Len(t, during.requests(), 2)
}

// collect returns the items of an iterator before its first error, and the error.
func collect[T any](all iter.Seq2[T, error]) (items []T, err error) {
	for item, err := range all {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}
