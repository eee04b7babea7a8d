package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/auth"
	"talon.example/internal/postgres"
)

// The schedules of an imported file: every resource has importDays days of importDayCells cells. A
// line is a day.
const (
	importDayCells = 32
	importDays     = 14
	maxImportCells = 10_000_000
	firstImportID  = 1_000_000_000 // of a cell; the region's are smaller

	importClient     = 2 // number of the client application that sends files
	importWindows    = 2_000
	importPairs      = 5       // measurements of bookings in a round, each without and with an import
	importBookings   = 2_000   // of each of them
	besideCells      = 300_000 // of the file that is imported next to them, which takes longer
	kindImported     = "imported"
	kindImportedCell = "imported cell"
)

// importPlan contains the parameters of the import benchmark.
type importPlan struct {
	cells  int64
	rounds int
}

// importRound are the figures of a round.
type importRound struct {
	Copy      float64 `json:"copy_cells_per_second"`      // COPY into a table with the indexes of slot
	New       float64 `json:"new_cells_per_second"`       // talon import
	Unchanged float64 `json:"unchanged_cells_per_second"` // the same file again
	PeakMiB   float64 `json:"peak_mib"`                   // of talon import, the larger of both

	NewCPU      float64 `json:"new_cpu_us"`          // processor time of talon import for a cell
	NewPostgres float64 `json:"new_postgres_cpu_us"` // and of PostgreSQL

	WindowP50 float64 `json:"window_p50_ms"` // PUT of a new day, over one connection
	WindowP99 float64 `json:"window_p99_ms"`

	Bookings []importPair `json:"bookings"`
}

// importPair are bookings over 16 connections, without and with an import, one after the other.
type importPair struct {
	Alone  Sample  `json:"alone"`
	Beside Sample  `json:"beside"`
	New    float64 `json:"new_cells_per_second"` // of the import
}

// importReport is the result of the import benchmark.
type importReport struct {
	Machine Machine       `json:"machine"`
	Cells   int64         `json:"cells"` // of the file
	Rounds  []importRound `json:"rounds"`
}

// importer makes the measurements of imports on a site.
type importer struct {
	*site

	program string
	dir     string // of the files
	token   string
	next    int64 // the first resource that no measurement has used
	http    http.Client
}

// runImports makes all measurements of imports. Each round makes each of them, with resources that
// no round before has used, so that the table grows from round to round.
func runImports(ctx context.Context, server *server, plan importPlan, progress io.Writer) (_ *importReport, err error) {
	machine, err := describeMachine(ctx, server)
	if err != nil {
		return nil, err
	}
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	i, err := openImporter(ctx, server, program, progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, i.close(ctx), os.RemoveAll(i.dir)) }()
	report := &importReport{Machine: machine, Cells: plan.cells}
	if _, err := i.closed(ctx, 16, warmUpRequests, i.take(warmUpRequests)); err != nil {
		return nil, err
	}
	for n := range plan.rounds {
		round, err := i.round(ctx, plan.cells)
		if err != nil {
			return nil, err
		}
		report.Rounds = append(report.Rounds, round)
		fmt.Fprintf(progress, "round %d of %d: COPY %.0f, new %.0f, unchanged %.0f cells/s, window p99 %.1f ms, "+
			"bookings next to an import %.2f\n", n+1, plan.rounds, round.Copy, round.New, round.Unchanged,
			round.WindowP99, round.pairs(importPair.ratio))
	}
	return report, nil
}

// openImporter creates a copy of the region's database for the imports, and starts the service on
// it.
func openImporter(ctx context.Context, server *server, program string, progress io.Writer) (_ *importer, err error) {
	s, err := openCopy(ctx, server, program, "talon_bench_import", progress)
	if err != nil {
		return nil, err
	}
	i := &importer{site: s, program: program, http: http.Client{Timeout: loadTimeout}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if i.dir, err = os.MkdirTemp("", "talon-bench-"); err != nil {
		return nil, err
	}
	scopes := []string{"schedule:write"}
	if err := s.addSystemClient(ctx, importClient, scopes); err != nil {
		return nil, err
	}
	caller := auth.Caller{Client: guid(kindClient, importClient), Scopes: scopes, EveryLpu: true}
	i.token, err = s.service.key.Sign(caller, issuer, audience, time.Now(), 24*time.Hour)
	return i, err
}

// ratio returns the rate of bookings next to an import, divided by that without.
func (p importPair) ratio() float64 { return p.Beside.Rate / p.Alone.Rate }

// pairs returns the median of a figure of the pairs.
func (r importRound) pairs(figure func(importPair) float64) float64 {
	var figures []float64
	for _, pair := range r.Bookings {
		figures = append(figures, figure(pair))
	}
	return median(figures)
}

// round makes each measurement once, and that of bookings several times.
func (i *importer) round(ctx context.Context, cells int64) (r importRound, err error) {
	if r.Copy, err = i.copyCells(ctx, cells); err != nil {
		return r, err
	}
	file, err := i.file(ctx, cells)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.path)) }()
	before := clusterTime(i.postmaster)
	added, err := i.command(ctx, file)
	if err != nil {
		return r, err
	}
	r.NewPostgres = perCell(clusterTime(i.postmaster)-before, file.cells)
	again, err := i.command(ctx, file)
	if err != nil {
		return r, err
	}
	if added.added != file.cells || again.unchanged != file.cells {
		return r, fmt.Errorf("of %d cells %d were added, and then %d unchanged", file.cells, added.added,
			again.unchanged)
	}
	r.New, r.Unchanged = float64(file.cells)/added.took.Seconds(), float64(file.cells)/again.took.Seconds()
	r.NewCPU, r.PeakMiB = perCell(added.cpu, file.cells), max(added.peakMiB, again.peakMiB)
	if err := i.windows(ctx, &r); err != nil {
		return r, err
	}
	for n := range importPairs {
		var pair importPair
		measurements := []func() error{
			func() (err error) {
				pair.Alone, err = i.closed(ctx, 16, importBookings, i.take(importBookings))
				return err
			},
			func() error { return i.bookingsBeside(ctx, &pair) },
		}
		if n%2 == 1 {
			slices.Reverse(measurements)
		}
		for _, measure := range measurements {
			if err := measure(); err != nil {
				return r, err
			}
		}
		r.Bookings = append(r.Bookings, pair)
	}
	return r, nil
}

func perCell(d time.Duration, cells int64) float64 { return float64(d.Microseconds()) / float64(cells) }

// lines returns the lines of a file for new resources, one resource after the other. It inserts the
// resources.
func (i *importer) lines(ctx context.Context, cells int64) (lines []importLine, err error) {
	resources := max(1, cells/(importDays*importDayCells))
	first := i.next
	i.next += resources
	_, err = i.conn.Exec(ctx, fmt.Sprintf(`INSERT INTO resource (lpu_guid, guid, kind, name, speciality_code)
		SELECT %s, %s, 'doctor', 'Врач', '1' FROM (SELECT n, n %% %d AS lpu FROM generate_series($1::bigint, $2) n) numbered`,
		strings.Replace(guidSQL(kindLpu, "lpu"), ":", "", 1), strings.Replace(guidSQL(kindImported, "n"), ":", "", 1),
		i.region.Lpus), first, i.next-1)
	if err != nil {
		return nil, fmt.Errorf("add the resources: %w", err)
	}
	for resource := first; resource < i.next; resource++ {
		for day := range int64(importDays) {
			lines = append(lines, importLine{i.region, resource, day})
		}
	}
	return lines, nil
}

// importLine is the schedule of a resource on a day.
type importLine struct {
	region        Region
	resource, day int64
}

func (l importLine) start(cell int64) time.Time {
	return l.region.FirstDay.AddDate(0, 0, int(l.day)).Add(time.Duration(cell) * cellLength)
}

func (l importLine) id(cell int64) int64 {
	return firstImportID + (l.resource*importDays+l.day)*importDayCells + cell
}

// path returns the path and the query of the schedule message.
func (l importLine) path() string {
	from := l.start(0).Add(-8 * time.Hour)
	return fmt.Sprintf("/registry/lpus/%s/resources/%s/schedule?%s", guid(kindLpu, l.resource%l.region.Lpus),
		guid(kindImported, l.resource),
		url.Values{"from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 0, 1).Format(time.RFC3339)}}.Encode())
}

// body returns the body of the schedule message.
func (l importLine) body() []byte {
	text := []byte(`{"Version":1,"Cells":[`)
	for cell := range int64(importDayCells) {
		if cell > 0 {
			text = append(text, ',')
		}
		start, id := l.start(cell), l.id(cell)
		text = fmt.Appendf(text,
			`{"Guid":"%s","Id":%d,"Start":"%s","End":"%s","Capacity":1,"FlagAccess":95,"BusyType":1}`,
			guid(kindImportedCell, id), id, start.Format(time.RFC3339), start.Add(cellLength).Format(time.RFC3339))
	}
	return append(text, "]}"...)
}

// importFile is a file in the form of POST /registry/imports.
type importFile struct {
	path  string
	cells int64
}

// file writes a file of new cells.
func (i *importer) file(ctx context.Context, cells int64) (f importFile, err error) {
	lines, err := i.lines(ctx, cells)
	if err != nil {
		return f, err
	}
	f = importFile{filepath.Join(i.dir, fmt.Sprintf("%d.ndjson", i.next)), int64(len(lines)) * importDayCells}
	file, err := os.Create(f.path)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	writer := bufio.NewWriter(file)
	for _, l := range lines {
		_, err := fmt.Fprintf(writer, `{"Method":"PUT","Path":"%s","Body":%s}`+"\n", l.path(), l.body())
		if err != nil {
			return f, err
		}
	}
	return f, writer.Flush()
}

// copyCells copies new cells into an empty table with the indexes of slot, over one connection, and
// returns the rate. It is what PostgreSQL can do without reading and comparing anything.
func (i *importer) copyCells(ctx context.Context, cells int64) (rate float64, err error) {
	config, err := pgx.ParseConfig(i.url)
	if err != nil {
		return 0, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	postgres.RegisterUUID(conn.TypeMap())
	if _, err := conn.Exec(ctx, `CREATE TABLE bench.yardstick (LIKE slot INCLUDING ALL)`); err != nil {
		return 0, fmt.Errorf("create the table for COPY: %w", err)
	}
	defer func() {
		_, dropErr := conn.Exec(context.WithoutCancel(ctx), `DROP TABLE bench.yardstick`)
		err = errors.Join(err, dropErr)
	}()
	columns := []string{
		"lpu_guid", "resource_guid", "guid", "id", "start_at", "end_at", "capacity", "flag_access", "busy_type",
	}
	n := int64(-1)
	began := time.Now()
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"bench", "yardstick"}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if n++; n == cells {
			return nil, nil
		}
		l := importLine{i.region, n / importDayCells / importDays, n / importDayCells % importDays}
		cell := n % importDayCells
		return []any{
			guid(kindLpu, l.resource%i.region.Lpus), guid(kindImported, l.resource), guid(kindImportedCell, l.id(cell)),
			l.id(cell), l.start(cell), l.start(cell).Add(cellLength), 1, 95, 1,
		}, nil
	}))
	if err != nil {
		return 0, fmt.Errorf("copy the cells: %w", err)
	}
	return float64(cells) / time.Since(began).Seconds(), nil
}

// imported is the result of talon import.
type imported struct {
	took, cpu        time.Duration
	peakMiB          float64
	added, unchanged int64
}

// command runs talon import.
func (i *importer) command(ctx context.Context, file importFile) (result imported, err error) {
	if _, err := i.conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return result, err
	}
	command := exec.CommandContext(ctx, i.program, "import", file.path) //nolint:gosec // built by build
	command.Env = append(os.Environ(), "DATABASE_URL="+i.url)
	var failure bytes.Buffer
	command.Stderr = &failure
	began := time.Now()
	output, err := command.Output()
	result.took = time.Since(began)
	if err != nil {
		return result, fmt.Errorf("talon import: %w\n%s%s", err, output, failure.Bytes())
	}
	result.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	if used, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		result.peakMiB = float64(used.Maxrss) / (1 << 10)
	}
	_, counts, _ := strings.Cut(string(output), "\ncells: ")
	var changed, withdrawn int64
	_, err = fmt.Sscanf(counts, "%d added, %d changed, %d withdrawn, %d unchanged", &result.added, &changed, &withdrawn,
		&result.unchanged)
	if err != nil {
		return result, fmt.Errorf("read the output of talon import: %w\n%s", err, output)
	}
	return result, nil
}

// windows measures the PUT of new days over one connection, while the service does nothing else.
func (i *importer) windows(ctx context.Context, r *importRound) error {
	lines, err := i.lines(ctx, importWindows*importDayCells)
	if err != nil {
		return err
	}
	var latencies []time.Duration
	for _, l := range lines {
		body := l.body()
		began := time.Now()
		status, answer, err := i.send(ctx, http.MethodPut, l.path(), "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("a window was rejected: %s", answer)
		}
		latencies = append(latencies, time.Since(began))
	}
	var load Load
	load.setPercentiles(latencies)
	r.WindowP50, r.WindowP99 = load.P50, load.P99
	return nil
}

// send sends a request of the client application and returns the status and the body of the
// response.
func (i *importer) send(ctx context.Context, method, path, mediaType string, body io.Reader) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, i.service.address+path, body)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+i.token)
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	response, err := i.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, errors.Join(err, response.Body.Close())
}

// importState is the part of the state of an import that the benchmark reads.
type importState struct {
	GUID       string  `json:"guid"`
	State      string  `json:"state"`
	FinishedAt *string `json:"finishedAt"`
}

// state sends a request about an import and returns the state of the import.
func (i *importer) state(
	ctx context.Context, method, path, mediaType string, body io.Reader,
) (s importState, err error) {
	status, answer, err := i.send(ctx, method, path, mediaType, body)
	if err != nil {
		return s, err
	}
	if status != http.StatusOK && status != http.StatusAccepted {
		return s, fmt.Errorf("%s %s: %s", method, path, answer)
	}
	err = json.Unmarshal(answer, &s)
	return s, err
}

// countWindows returns the number of days that have been brought in.
func (i *importer) countWindows(ctx context.Context) (count int64, err error) {
	err = i.conn.QueryRow(ctx, "SELECT count(*) FROM schedule_window").Scan(&count)
	return count, err
}

// bookingsBeside measures bookings while the same service applies a file. The import is cancelled
// afterwards.
func (i *importer) bookingsBeside(ctx context.Context, pair *importPair) error {
	requests, err := i.service.caller().requests(importBookings, i.take(importBookings))
	if err != nil {
		return err
	}
	settle, err := i.service.caller().requests(settleRequests, i.take(settleRequests))
	if err != nil {
		return err
	}
	file, err := i.file(ctx, besideCells)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.path) }()
	pair.Beside, err = i.measure(ctx, settle, true, func(ctx context.Context) (load Load, err error) {
		content, err := os.Open(file.path)
		if err != nil {
			return Load{}, err
		}
		defer content.Close()
		started, err := i.state(ctx, http.MethodPost, "/registry/imports", "application/x-ndjson", content)
		if err != nil {
			return Load{}, err
		}
		path := "/registry/imports/" + started.GUID
		before, err := i.countWindows(ctx)
		if err != nil {
			return Load{}, err
		}
		now := before
		for now == before { // until the import runs
			time.Sleep(10 * time.Millisecond)
			if now, err = i.countWindows(ctx); err != nil {
				return Load{}, err
			}
		}
		began := time.Now()
		if load, err = runWrk(ctx, i.service.address, 16, requests); err != nil {
			return Load{}, err
		}
		took := time.Since(began)
		then, err := i.countWindows(ctx)
		if err != nil {
			return Load{}, err
		}
		after, err := i.state(ctx, http.MethodGet, path, "", nil)
		if err != nil {
			return Load{}, err
		}
		if after.FinishedAt != nil {
			return Load{}, fmt.Errorf("the import ended before the bookings (%s)", after.State)
		}
		pair.New = float64((then-now)*importDayCells) / took.Seconds()
		_, err = i.state(ctx, http.MethodDelete, path, "", nil)
		return load, err
	})
	return err
}
