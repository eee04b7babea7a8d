package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/internal/booking"
	"talon.example/internal/postgres"
)

// The limit is the rate at which the database alone can process bookings: pgbench sends the
// statements of a booking, and no service runs. The statements are recorded, with their parameters
// and round trips, from a booking by the service's own code, so they cannot differ from those of
// the service.

// statement is a statement that the service has sent.
type statement struct {
	sql       string
	arguments []any
}

// recorder is a tracer that records the statements of each round trip.
type recorder struct{ trips [][]statement }

// TraceBatchStart implements pgx.BatchTracer.
func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	var trip []statement
	for _, query := range data.Batch.QueuedQueries {
		trip = append(trip, statement{query.SQL, query.Arguments})
	}
	r.trips = append(r.trips, trip)
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (r *recorder) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceQueryStart implements pgx.QueryTracer.
func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.trips = append(r.trips, []statement{{data.SQL, data.Args}})
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// recordBooking makes one booking with the service's own code and returns its statements by round
// trips.
func recordBooking(ctx context.Context, url string, b Booking, now time.Time) ([][]statement, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse the URL of the database: %w", err)
	}
	recorder := new(recorder)
	config.ConnConfig.Tracer = recorder
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	// The service caches the reference data, so they are loaded before the recording.
	patient := booking.Patient{Person: guid(kindPerson, b.Person), Client: guid(kindClient, clientNumber)}
	store := postgres.NewStore(pool, time.Hour)
	if _, err := store.Settings(ctx, patient, uuid.Nil); err != nil {
		return nil, fmt.Errorf("read the reference data: %w", err)
	}
	recorder.trips = nil
	service := booking.NewService(store.Ports(), func() time.Time { return now })
	_, _, err = service.Book(ctx, patient,
		booking.Request{
			Direction:  guid(kindReferral, b.Referral),
			Type:       booking.Consult,
			LpuFrom:    guid(kindLpu, b.From),
			LpuTo:      guid(kindLpu, b.To),
			Place:      booking.Place{SlotID: b.SlotID()},
			Difficulty: 1,
		}, nil)
	if err != nil {
		return nil, fmt.Errorf("make the booking to record: %w", err)
	}
	return recorder.trips, nil
}

// script is the pgbench script of a booking.
type script struct {
	body      string
	constants []string // the values of the variables c0, c1, …
}

// recordScript returns the script of a booking. It records two bookings and requires that their
// scripts are equal: a parameter that this program cannot compute would be a constant that differs
// between them.
func recordScript(ctx context.Context, url string, region Region) (script, error) {
	now := time.Now().Truncate(time.Second)
	var scripts []script
	for n := range int64(2) {
		b := region.Booking(n)
		trips, err := recordBooking(ctx, url, b, now)
		if err != nil {
			return script{}, err
		}
		writer := scriptWriter{symbols: region.symbols(b)}
		scripts = append(scripts, writer.write(trips))
	}
	if !reflect.DeepEqual(scripts[0], scripts[1]) {
		return script{}, fmt.Errorf("the scripts of two bookings differ:\n%+v\n%+v", scripts[0], scripts[1])
	}
	scripts[0].body = region.variables() + scripts[0].body
	return scripts[0], nil
}

// variables returns pgbench commands that compute the numbers of a booking as Region.Booking does.
// Each client makes every limitClients-th booking.
func (r Region) variables() string {
	var text strings.Builder
	for _, v := range []struct {
		name, format string
		numbers      []any
	}{
		{"turn", ":turn + 1", nil},
		{"n", ":base + :turn * %d + :client_id", []any{limitClients}},
		{"referral", "(:n * %d) %% %d", []any{stride, r.Referrals}},
		{"resource", ":referral %% %d", []any{r.Resources}},
		{"round", ":referral / %d", []any{r.Resources}},
		{"to", ":resource %% %d", []any{r.Lpus}},
		{"from", "(:to + 1 + :round %% %d) %% %d", []any{r.Lpus - 1, r.Lpus}},
		{"cell", "%d + :round * %d", []any{firstBookedCell, bookedCellStep}},
		{"slot", ":resource * %d + :cell + 1", []any{cellsPerResource}},
		{"number", "%d + :referral", []any{firstReferralNumber}},
		{"speciality", "%d + (:resource / %d) %% %d", []any{firstSpeciality, r.Lpus, specialities}},
		{
			"start", "%d + (:cell / %d) * 86400 + (:cell %% %d) * %d",
			[]any{r.FirstDay.Unix(), cellsPerDay, cellsPerDay, int64(cellLength.Seconds())},
		},
		{"end", ":start + %d", []any{int64(cellLength.Seconds())}},
	} {
		fmt.Fprintf(&text, "\\set "+v.name+" "+v.format+"\n", v.numbers...)
	}
	return text.String()
}

// symbols returns the values of a booking's parameters, each with the expression that computes it
// in pgbench.
func (r Region) symbols(b Booking) map[any]string {
	symbols := map[any]string{
		r.speciality(b.Resource):                    ":speciality",
		"Специальность " + r.speciality(b.Resource): "'Специальность ' || :speciality",
		resourceName(b.Resource):                    "'Врач номер ' || :resource",
		referralNumber(b.Referral):                  ":number",
		b.SlotID():                                  ":slot",
		r.cellStart(b.Cell).Unix():                  "to_timestamp(:start)",
		r.cellStart(b.Cell).Add(cellLength).Unix():  "to_timestamp(:end)",
	}
	for _, g := range []struct {
		kind, variable string
		n              int64
	}{
		{kindLpu, "from", b.From},
		{kindLpu, "to", b.To},
		{kindResource, "resource", b.Resource},
		{kindSlot, "slot", b.SlotID()},
		{kindPerson, "referral", b.Person},
		{kindHome, "referral", b.Person},
		{kindAway, "referral", b.Person},
		{kindReferral, "referral", b.Referral},
		{kindSender, "from", b.From},
	} {
		symbols[guid(g.kind, g.n)] = guidSQL(g.kind, g.variable)
	}
	return symbols
}

// scriptWriter converts statements to a pgbench script.
type scriptWriter struct {
	symbols   map[any]string
	constants []string
}

// write returns the script. A round trip of more than one statement becomes a pipeline.
func (w *scriptWriter) write(trips [][]statement) script {
	var body strings.Builder
	for _, trip := range trips {
		if len(trip) > 1 {
			body.WriteString("\\startpipeline\n")
		}
		for _, s := range trip {
			body.WriteString(w.statement(s) + ";\n")
		}
		if len(trip) > 1 {
			body.WriteString("\\endpipeline\n")
		}
	}
	return script{body.String(), w.constants}
}

var (
	comment   = regexp.MustCompile(`(?m)^\s*--.*\n`)
	parameter = regexp.MustCompile(`\$\d+`)
)

func (w *scriptWriter) statement(s statement) string {
	sql := comment.ReplaceAllString(strings.TrimSpace(s.sql), "")
	return parameter.ReplaceAllStringFunc(strings.TrimSpace(sql), func(name string) string {
		i, _ := strconv.Atoi(name[1:])
		return w.expression(reflect.ValueOf(s.arguments[i-1]))
	})
}

// expression returns the pgbench expression of a parameter.
func (w *scriptWriter) expression(value reflect.Value) string {
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return "NULL"
		}
		value = value.Elem()
	}
	switch known := value.Interface().(type) {
	case uuid.UUID:
		if symbol, ok := w.symbols[known]; ok {
			return symbol
		}
		if known == guid(kindClient, clientNumber) {
			return w.constant(known.String())
		}
		// The only other guid is that of the new appointment. It increases with time, as the
		// service's guids do.
		return "lpad(:n, 32, '0')::uuid"
	case []uuid.UUID:
		var items []string
		for _, item := range known {
			items = append(items, w.expression(reflect.ValueOf(item)))
		}
		return "ARRAY[" + strings.Join(items, ", ") + "]"
	case []int32:
		var items []string
		for _, item := range known {
			items = append(items, strconv.Itoa(int(item)))
		}
		return w.constant("{" + strings.Join(items, ",") + "}")
	case []string:
		return w.constant("{" + strings.Join(known, ",") + "}")
	case time.Time:
		if symbol, ok := w.symbols[known.Unix()]; ok {
			return symbol
		}
		return w.constant(known.Format(time.RFC3339))
	}
	if symbol, ok := w.symbols[value.Interface()]; ok {
		return symbol
	}
	return w.constant(fmt.Sprint(value.Interface()))
}

// constant returns the variable of a parameter that is the same in all bookings.
func (w *scriptWriter) constant(value string) string {
	if value == "" {
		return "''" // pgbench rejects empty variables
	}
	i := slices.Index(w.constants, value)
	if i < 0 {
		i = len(w.constants)
		w.constants = append(w.constants, value)
	}
	return ":c" + strconv.Itoa(i)
}

// limitClients is the number of connections that pgbench uses, the same as in the service's pool.
const limitClients = 8

var transactions = regexp.MustCompile(`number of transactions actually processed: (\d+)`)

var withoutConnecting = regexp.MustCompile(`tps = ([\d.]+)`)

// runLimit makes n bookings with pgbench, beginning with booking number base. rate is in bookings
// per second; 0 means as fast as possible. With a rate, a latency begins when the booking is due.
func runLimit(ctx context.Context, server *server, url string, s script, rate float64, base, n int64) (Load, error) {
	dir, err := os.MkdirTemp("", "talon-bench-")
	if err != nil {
		return Load{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "booking.sql")
	if err := os.WriteFile(file, []byte(s.body), 0o600); err != nil {
		return Load{}, err
	}
	args := []string{
		"--no-vacuum", "--protocol=prepared", "--client=" + strconv.Itoa(limitClients), "--jobs=1",
		"--transactions=" + strconv.FormatInt(n/limitClients, 10), "--file=" + file, "--log",
		"--log-prefix=" + filepath.Join(dir, "log"), "--define=turn=-1", "--define=base=" + strconv.FormatInt(base, 10),
	}
	if rate > 0 {
		args = append(args, fmt.Sprintf("--rate=%.3f", rate))
	}
	for i, value := range s.constants {
		args = append(args, fmt.Sprintf("--define=c%d=%s", i, value))
	}
	load, err := runPgbench(ctx, server, []string{"PGOPTIONS=" + planning()}, append(args, url)...)
	if err != nil {
		return Load{}, err
	}
	latencies, err := pgbenchLatencies(filepath.Join(dir, "log*"), rate > 0)
	if err != nil {
		return Load{}, err
	}
	load.setPercentiles(latencies)
	return load, nil
}

// runPgbench runs pgbench with the arguments and with additional environment variables. It returns
// the number of transactions, their rate and pgbench's CPU time, without latencies.
func runPgbench(ctx context.Context, server *server, environment []string, args ...string) (Load, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	program := filepath.Join(server.bin, "pgbench")
	command := exec.CommandContext(ctx, program, args...) //nolint:gosec // arguments of this program
	command.Env = append(os.Environ(), environment...)
	output, err := command.CombinedOutput()
	if err != nil {
		return Load{}, fmt.Errorf("pgbench: %w\n%s", err, output)
	}
	done, tps := transactions.FindSubmatch(output), withoutConnecting.FindSubmatch(output)
	if done == nil || tps == nil {
		return Load{}, fmt.Errorf("pgbench: unexpected output:\n%s", output)
	}
	load := Load{Outcomes: map[string]int64{}}
	load.Requests, _ = strconv.ParseInt(string(done[1]), 10, 64)
	load.Rate, _ = strconv.ParseFloat(string(tps[1]), 64)
	load.Outcomes[outcomeOK], load.activeBookings = load.Requests, load.Requests
	load.client = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return load, nil
}

// planning returns the planner settings of the service's connections, as connection options.
func planning() string {
	var options []string
	for _, name := range slices.Sorted(maps.Keys(postgres.Planning)) {
		options = append(options, "-c "+name+"="+postgres.Planning[name])
	}
	return strings.Join(options, " ")
}

// connecting is the time that pgbench may need to open its connections and prepare its statements.
// Bookings are already due during this time.
const connecting = time.Second

// pgbenchLatencies returns the latencies of pgbench's logs. The third column is the latency in
// microseconds, the fifth and sixth are the time of completion in seconds and microseconds. If
// settled is set, it skips the transactions of the first second, in which pgbench was connecting.
func pgbenchLatencies(pattern string, settled bool) ([]time.Duration, error) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return nil, errors.New("pgbench has written no log")
	}
	var (
		latencies []time.Duration
		first     time.Time
	)
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 6 {
				continue
			}
			us, err1 := strconv.ParseInt(fields[2], 10, 64)
			seconds, err2 := strconv.ParseInt(fields[4], 10, 64)
			micros, err3 := strconv.ParseInt(fields[5], 10, 64)
			if err := errors.Join(err1, err2, err3); err != nil {
				return nil, fmt.Errorf("read pgbench's log: %w", err)
			}
			ended := time.Unix(seconds, micros*1000)
			if first.IsZero() {
				first = ended
			}
			if !settled || ended.Sub(first) > connecting {
				latencies = append(latencies, time.Duration(us)*time.Microsecond)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return latencies, nil
}
