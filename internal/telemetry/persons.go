package telemetry

import (
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// personRepeats is the time in which further requests for a person are not counted again.
	personRepeats = time.Hour
	// maxPersons is the number of persons that are remembered for it, the most recent ones. They
	// take some 6 MB.
	maxPersons = 32_768
)

// persons counts the persons for whom client applications send requests. It is safe for concurrent
// use.
type persons struct {
	counted *prometheus.CounterVec
	mu      sync.Mutex
	recent  *simplelru.LRU[clientPerson, time.Time] // when they were counted
}

type clientPerson struct{ client, person uuid.UUID }

func newPersons(m *Metrics) *persons {
	recent, err := simplelru.NewLRU[clientPerson, time.Time](maxPersons, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &persons{recent: recent, counted: m.counters("talon_client_persons_total",
		"Persons for whom a client application has sent requests, each once an hour.", "client")}
}

// CountThrottled counts a request of a client application that was rejected because it, or one of
// its patients, sends too many. The client application must have authenticated, because each has a
// series of its own. Nil metrics count nothing.
func (m *Metrics) CountThrottled(client uuid.UUID) {
	if m != nil {
		m.throttled.WithLabelValues(client.String()).Inc()
	}
}

// CountPerson counts a person for whom a client application has sent a request at now, unless the
// person was already counted for it within the hour before. The client application must exist,
// because each has a series of its own. Nil metrics count nothing.
func (m *Metrics) CountPerson(client, person uuid.UUID, now time.Time) {
	if m == nil {
		return
	}
	p, key := m.persons, clientPerson{client, person}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, known := p.recent.Get(key); known && now.Sub(at) < personRepeats {
		return
	}
	p.recent.Add(key, now)
	p.counted.WithLabelValues(client.String()).Inc()
}
