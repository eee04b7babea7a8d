package main

import (
	"container/heap"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// The processor time of a booking in milliseconds, from `bench spread` (docs/scale.md). The
// statements of a booking are planned on the node that the service is connected to, and executed on
// the nodes that have the rows, where they arrive as text. To execute them on the node that planned
// them was not cheaper.
const (
	scalePlain         = 1.11 // one PostgreSQL
	scalePlainService  = 0.81
	scaleService       = 1.78 // of the services, on Citus
	scalePlan          = 4.8  // to plan and send the statements of the shards
	scaleExecute       = 3.6
	scaleCommit        = 0.9 // to begin, prepare and commit on a node
	scaleCentral       = 0.9 // the coordinator's own statements (events, audit), from a worker
	scaleCentralDirect = 0.3 // the same, from the coordinator itself
)

// Waits in milliseconds, which cost no processor time. They are assumptions: the nodes that were
// measured are on one machine, and do not wait for their disks.
const (
	scaleNetwork = 0.3 // to another node and back
	scaleFlush   = 1.0 // until a disk has a record
)

// What is simulated.
const (
	scaleShards       = 32   // distribution.DefaultShards
	scaleCores        = 2    // of a node, as of the machine that was measured
	scaleClients      = 16   // of the measured points
	scaleInstitutions = 20   // of the region of the measured points
	scaleBookings     = 4000 // of a simulation
	scaleCrowd        = 16   // clients for each core that leave none idle
	scaleBound        = 1000 // of the p99, ms
)

// scaleWorkers are the numbers of workers.
var scaleWorkers = []int{2, 4, 8, 10, 12, 16, 32}

// A country.
const (
	countryPeople       = 146e6
	countryInstitutions = 10_000
	countryVisits       = 9.3  // of a person a year
	countryHour         = 0.15 // of a day's bookings in its busiest hour
	countryPeak         = 3    // the busiest minutes of that hour against its average
	countryRushMinutes  = 10   // in which all bookings of a day come, at worst
	daysOfYear          = 365
	regionInstitutions  = 200
)

// place is where the rows of a statement are.
type place int

const (
	atSource place = iota
	atTarget
	atPerson
	places
)

// scaleFacts and scaleWrites are the statements of a booking between two institutions, in order,
// without the events, which the coordinator has.
var (
	scaleFacts  = []place{atSource, atPerson, atTarget, atTarget}
	scaleWrites = []place{atSource, atPerson, atTarget, atTarget, atTarget, atPerson, atTarget}
)

// scaleSites is what bookings run on.
type scaleSites struct {
	Workers  int  // 0: one PostgreSQL
	Cores    int  // of each node; the services have as many as they need
	Direct   bool // the services are connected to the coordinator, and not to the workers
	Together bool // all nodes and the services share the cores of one machine

	Share float64 // of its time that each core works for this, 1 unless others use the machine

	shards []int // of each institution
}

// The machines of a simulation: the coordinator, which is also the one PostgreSQL, the services,
// and the workers.
const (
	machineMain = iota
	machineServices
	machineWorkers
)

// scaleTask is processor time on a machine.
type scaleTask struct {
	machine int
	ms      float64
}

// scaleStep is a part of a booking: tasks that begin at once, after a wait.
type scaleStep struct {
	wait  float64 // ms
	tasks []scaleTask
}

// booking returns the steps of a booking of two random institutions and a random person. Its order
// is that of the statements; the nodes prepare and commit at once.
func (s *scaleSites) booking(random *rand.Rand) []scaleStep {
	if s.Workers == 0 {
		return []scaleStep{
			{0, []scaleTask{{machineServices, scalePlainService}}},
			{scaleNetwork, []scaleTask{{machineMain, scalePlain / 2}}},
			{scaleNetwork + scaleFlush, []scaleTask{{machineMain, scalePlain / 2}}},
		}
	}
	entry := machineMain
	if !s.Direct {
		entry = machineWorkers + random.IntN(s.Workers)
	}
	institutions := len(s.shards)
	at := [places]int{
		atSource: s.node(s.shards[random.IntN(institutions)]),
		atTarget: s.node(s.shards[random.IntN(institutions)]),
		atPerson: s.node(random.IntN(scaleShards)),
	}
	steps := []scaleStep{{0, []scaleTask{{machineServices, scaleService}}}}
	statements := slices.Concat(scaleFacts, scaleWrites)
	each := 1 / float64(len(statements))
	for _, p := range statements {
		if at[p] == entry {
			steps = append(steps, scaleStep{0, []scaleTask{{entry, (scalePlan + scaleExecute) * each}}})
			continue
		}
		steps = append(steps, scaleStep{0, []scaleTask{{entry, scalePlan * each}}},
			scaleStep{scaleNetwork, []scaleTask{{at[p], scaleExecute * each}}})
	}
	central := scaleCentral
	if s.Direct {
		central = scaleCentralDirect
	}
	steps = append(steps, scaleStep{scaleNetwork, []scaleTask{{machineMain, central}}})
	nodes := at[:]
	slices.Sort(nodes)
	half := scaleStep{wait: scaleNetwork + scaleFlush}
	for _, node := range slices.Compact(nodes) {
		half.tasks = append(half.tasks, scaleTask{node, scaleCommit / 2})
	}
	return append(steps, half, half)
}

// node returns the worker that has a shard.
func (s *scaleSites) node(shard int) int { return machineWorkers + shard%s.Workers }

// newScaleSites returns sites whose institutions are on random shards, each as busy as another.
func newScaleSites(workers, cores, institutions int) *scaleSites {
	random := scaleRandom(uint64(institutions))
	sites := &scaleSites{Workers: workers, Cores: cores, Share: 1, shards: make([]int, institutions)}
	for i := range sites.shards {
		sites.shards[i] = random.IntN(scaleShards)
	}
	return sites
}

// scaleRandom returns random numbers that are the same for the same seed.
func scaleRandom(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a simulation, not a secret
}

// scaleRun is the result of a simulation.
type scaleRun struct {
	rate, p50, p99 float64   // bookings a second, ms
	busy           []float64 // shares of the machines' processors
}

// simulation is a run of bookings. All times are milliseconds.
type simulation struct {
	sites    *scaleSites
	random   *rand.Rand
	now      float64
	events   scaleEvents
	order    int
	machines []scaleMachine
	begun    int
	took     []float64
	ended    func() // after each booking
}

// scaleMachine has processors, and tasks that wait for one.
type scaleMachine struct {
	free    int
	busy    float64
	waiting []func()
}

// simulateRate lets so many bookings arrive at random, at an average rate in a second. The same
// seed leads to the same result.
func simulateRate(sites *scaleSites, rate float64, bookings int, seed uint64) scaleRun {
	s := newSimulation(sites, seed)
	s.ended = func() {}
	var arrive func()
	arrive = func() {
		s.begin()
		if s.begun < bookings {
			s.after(s.random.ExpFloat64()*1000/rate, arrive)
		}
	}
	arrive()
	for len(s.events) > 0 {
		s.next()
	}
	return s.result()
}

// simulateClients lets clients make scaleBookings bookings together, one after the other each.
func simulateClients(sites *scaleSites, clients int) scaleRun {
	s := newSimulation(sites, 1)
	s.ended = func() {
		if s.begun < scaleBookings {
			s.begin()
		}
	}
	for range clients {
		s.begin()
	}
	for len(s.events) > 0 {
		s.next()
	}
	return s.result()
}

func newSimulation(sites *scaleSites, seed uint64) *simulation {
	s := &simulation{
		sites: sites, random: scaleRandom(seed), machines: make([]scaleMachine, machineWorkers+sites.Workers),
	}
	for i := range s.machines {
		s.machines[i].free = sites.Cores
	}
	s.machines[machineServices].free = math.MaxInt32 // as many as are needed
	return s
}

// begin begins a booking.
func (s *simulation) begin() {
	s.begun++
	s.continueWith(s.now, s.sites.booking(s.random))
}

// continueWith begins the first of the steps that a booking still has, or ends the booking.
func (s *simulation) continueWith(began float64, steps []scaleStep) {
	if len(steps) == 0 {
		s.took = append(s.took, s.now-began)
		s.ended()
		return
	}
	open := len(steps[0].tasks)
	for _, t := range steps[0].tasks {
		s.after(steps[0].wait, func() {
			s.execute(t, func() {
				if open--; open == 0 {
					s.continueWith(began, steps[1:])
				}
			})
		})
	}
}

// execute calls done after a task, which first waits for a processor. Its time is exponentially
// distributed.
func (s *simulation) execute(t scaleTask, done func()) {
	m := &s.machines[t.machine]
	if s.sites.Together {
		m = &s.machines[machineMain]
	}
	if m.free == 0 {
		m.waiting = append(m.waiting, func() { s.execute(t, done) })
		return
	}
	m.free--
	took := s.random.ExpFloat64() * t.ms / s.sites.Share
	m.busy += took
	s.after(took, func() {
		m.free++
		if len(m.waiting) > 0 {
			first := m.waiting[0]
			m.waiting = m.waiting[1:]
			first()
		}
		done()
	})
}

func (s *simulation) result() scaleRun {
	run := scaleRun{rate: float64(len(s.took)) * 1000 / s.now}
	for _, m := range s.machines {
		run.busy = append(run.busy, m.busy/s.now/float64(s.sites.Cores))
	}
	slices.Sort(s.took)
	if n := len(s.took); n > 0 {
		run.p50, run.p99 = s.took[n/2], s.took[n*99/100]
	}
	return run
}

// after calls f later.
func (s *simulation) after(wait float64, f func()) {
	s.order++
	heap.Push(&s.events, scaleEvent{s.now + wait, s.order, f})
}

// next lets the next event happen.
func (s *simulation) next() {
	e := heap.Pop(&s.events).(scaleEvent) //nolint:forcetypeassert // the heap has no others
	s.now = e.at
	e.do()
}

// scaleEvent is what happens at a time; of two at one time, the one that was planned first.
type scaleEvent struct {
	at    float64
	order int
	do    func()
}

// scaleEvents is a heap.
type scaleEvents []scaleEvent

func (e scaleEvents) Len() int      { return len(e) }
func (e scaleEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e scaleEvents) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e *scaleEvents) Push(x any) { *e = append(*e, x.(scaleEvent)) } //nolint:forcetypeassert // called by heap.Push
func (e *scaleEvents) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// capacity returns the run with the highest rate at which the p99 of bookings is at most a second.
// The rates are shares of that of clients who leave no processor idle.
func capacity(sites *scaleSites) scaleRun {
	nodes := max(sites.Workers, 1)
	saturated := simulateClients(sites, scaleCrowd*nodes*sites.Cores)
	for _, share := range []float64{0.99, 0.98, 0.96, 0.94, 0.92, 0.9} {
		run := simulateRate(sites, saturated.rate*share, scaleBookings, 1)
		if run.p99 <= scaleBound {
			return run
		}
	}
	return scaleRun{busy: saturated.busy}
}

// scalePoint is a measurement of `bench spread`, with all nodes and services on one machine that
// others used, too.
type scalePoint struct {
	workers int
	direct  bool
	rate    float64 // bookings a second
	ms      float64 // processor time of databases and services for a booking
}

// scalePoints are the measured points.
var scalePoints = []scalePoint{
	{2, true, 81, 14.3}, {2, false, 103, 13.7},
	{2, true, 96, 10.0}, {2, false, 119, 10.9},
	{4, true, 101, 12.2}, {4, false, 93, 15.2},
}

// scaleReport is the result of the simulation.
type scaleReport struct{ text strings.Builder }

// runScale simulates the measured points, growing numbers of workers, and a country.
func runScale(progress io.Writer) *scaleReport {
	r := &scaleReport{}
	r.points()
	fmt.Fprintln(progress, "the measured points are simulated")
	for _, institutions := range []int{regionInstitutions, countryInstitutions} {
		r.workers(institutions, progress)
	}
	r.country()
	return r
}

// points compares simulated rates with measured ones. A simulation has the share of the machine
// that the measurement had: its rate times the processor time of a booking.
func (r *scaleReport) points() {
	r.text.WriteString("| workers | services connect to | bookings a second: measured | simulated | deviation |\n" +
		"|--:|---|--:|--:|--:|\n")
	for _, p := range scalePoints {
		sites := newScaleSites(p.workers, scaleCores, scaleInstitutions)
		sites.Direct, sites.Together, sites.Share = p.direct, true, p.rate*p.ms/(scaleCores*1000)
		name := "the workers"
		if p.direct {
			name = "the coordinator"
		}
		run := simulateClients(sites, scaleClients)
		fmt.Fprintf(&r.text, "| %d | %s | %.0f | %.0f | %+.0f %% |\n",
			p.workers, name, p.rate, run.rate, (run.rate/p.rate-1)*100)
	}
}

// workers compares numbers of workers with one PostgreSQL on a machine of the size of a node.
func (r *scaleReport) workers(institutions int, progress io.Writer) {
	one := capacity(newScaleSites(0, scaleCores, institutions))
	fmt.Fprintf(&r.text, "\n%d institutions, %d shards, nodes of %d cores; services have machines of their own. "+
		"One PostgreSQL: %.0f bookings a second.\n\n", institutions, scaleShards, scaleCores, one.rate)
	r.text.WriteString("| workers | through the coordinator | of one | through the workers | of one | " +
		"coordinator busy | workers busy: mean | most |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, workers := range scaleWorkers {
		direct := newScaleSites(workers, scaleCores, institutions)
		direct.Direct = true
		through, spread := capacity(direct), capacity(newScaleSites(workers, scaleCores, institutions))
		busy := spread.busy[machineWorkers:]
		mean := 0.0
		for _, b := range busy {
			mean += b / float64(workers)
		}
		fmt.Fprintf(&r.text, "| %d | %.0f | %.2f | %.0f | %.2f | %.0f %% | %.0f %% | %.0f %% |\n", workers,
			through.rate, through.rate/one.rate, spread.rate, spread.rate/one.rate,
			spread.busy[machineMain]*100, mean*100, slices.Max(busy)*100)
		fmt.Fprintf(progress, "%d institutions, %d workers are simulated\n", institutions, workers)
	}
}

// country simulates the bookings of a country on one PostgreSQL, and on workers.
func (r *scaleReport) country() {
	day := float64(countryPeople) * countryVisits / daysOfYear
	peak := day * countryHour / 3600 * countryPeak
	rush := day / (countryRushMinutes * 60)
	fmt.Fprintf(&r.text, "\nA country: %.0f million people, %d institutions, %.1f million bookings a day; %.0f "+
		"a second in the busiest minutes, %.0f if all of a day come within %d minutes.\n\n",
		countryPeople/1e6, countryInstitutions, day/1e6, peak, rush, countryRushMinutes)
	r.text.WriteString("| bookings a second | on | p50, ms | p99, ms | busy |\n|--:|---|--:|--:|--:|\n")
	for _, load := range []float64{peak, rush} {
		for _, on := range []struct{ workers, cores int }{{0, 1}, {0, 2}, {0, 8}, {4, 8}, {16, 8}} {
			sites := newScaleSites(on.workers, on.cores, countryInstitutions)
			name := fmt.Sprintf("one PostgreSQL with %d cores", on.cores)
			first := machineMain
			if on.workers > 0 {
				name = fmt.Sprintf("%d workers with %d cores each", on.workers, on.cores)
				first = machineWorkers
			}
			run := simulateRate(sites, load, 5*scaleBookings, 1)
			if run.p99 > scaleBound {
				fmt.Fprintf(&r.text, "| %.0f | %s | | too many | |\n", load, name)
				continue
			}
			busy := slices.Max(run.busy[first:])
			if on.workers == 0 {
				busy = run.busy[machineMain]
			}
			fmt.Fprintf(&r.text, "| %.0f | %s | %.1f | %.1f | %.0f %% |\n", load, name, run.p50, run.p99, busy*100)
		}
	}
}

// markdown writes the report.
func (r *scaleReport) markdown(w io.Writer) error {
	_, err := io.WriteString(w, r.text.String())
	return err
}
