// Command river sends the events of the feed to webhooks as jobs of River (riverqueue.com). It
// exists to compare River with the service's own deliverer; go run ./bench webhooks -river runs it.
//
// It reads the endpoints as JSON from its standard input, writes a line when it is ready, and ends
// when it is interrupted. The database is DATABASE_URL.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"talon.example/internal/events"
	"talon.example/internal/httpapi"
	"talon.example/internal/webhook"
)

// Settings that are equal to those of the service's deliverer.
const (
	readEvery  = 100 * time.Millisecond
	maxWorkers = 256
	breakAt    = 5
	firstWait  = 5 * time.Second
	conns      = 8
)

type endpoint struct {
	Lpu uuid.UUID `json:"lpu"`
	URL string    `json:"url"`
}

// delivery is the job of sending an event to an endpoint.
type delivery struct {
	URL   string       `json:"url"`
	Event events.Event `json:"event"`
}

// Kind implements river.JobArgs.
func (delivery) Kind() string { return "delivery" }

// worker sends events. As the deliverer does, it leaves an endpoint alone after failures in a row.
type worker struct {
	river.WorkerDefaults[delivery]

	sender *webhook.Sender
	key    events.SigningKey

	mu       sync.Mutex
	failures map[string]int
	until    map[string]time.Time
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[delivery]) error {
	w.mu.Lock()
	wait := time.Until(w.until[job.Args.URL])
	w.mu.Unlock()
	if wait > 0 {
		return river.JobSnooze(wait)
	}
	outcome, _, err := w.sender.Send(ctx, job.Args.URL, &job.Args.Event, []events.SigningKey{w.key})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if outcome == events.Delivered {
		w.failures[job.Args.URL] = 0
		return nil
	}
	w.failures[job.Args.URL]++
	if n := w.failures[job.Args.URL]; n >= breakAt {
		w.until[job.Args.URL] = time.Now().Add(min(time.Hour, firstWait<<min(10, n-breakAt)))
	}
	return errors.New(string(outcome))
}

// Timeout implements river.Worker.
func (*worker) Timeout(*river.Job[delivery]) time.Duration { return events.AttemptTimeout }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context) error {
	var endpoints []endpoint
	if err := json.NewDecoder(os.Stdin).Decode(&endpoints); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	config.MaxConns = conns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	key, err := events.NewSigningKey()
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{
		sender: webhook.NewSender(webhook.Config{Addresses: webhook.Loopback, Encode: httpapi.EncodeEvent}),
		key:    key, failures: map[string]int{}, until: map[string]time.Time{},
	})
	client, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: maxWorkers}}, Workers: workers,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	defer client.StopAndCancel(context.WithoutCancel(ctx)) //nolint:errcheck // the end of a benchmark
	return enqueue(ctx, pool, client, endpoints)
}

// enqueue inserts a job for each new event and each endpoint that is for it. The place up to which
// it has read would be stored in the same transaction.
func enqueue(ctx context.Context, pool *pgxpool.Pool, client *river.Client[pgx.Tx], endpoints []endpoint) error {
	byLpu := map[uuid.UUID][]endpoint{}
	for _, e := range endpoints {
		byLpu[e.Lpu] = append(byLpu[e.Lpu], e)
	}
	var after int64
	if err := pool.QueryRow(ctx, `SELECT position FROM event_recorder`).Scan(&after); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, `SELECT recorded_at, position, lpu_guid, sequence, type, at, appointment_guid, direction_guid, resource_guid, version
				FROM event WHERE recorded_at > now() - interval '1 hour' AND position > $1 ORDER BY recorded_at, position LIMIT 1000`, after)
			if err != nil {
				return err
			}
			defer rows.Close()
			var jobs []river.InsertManyParams
			for rows.Next() {
				var e events.Event
				var appointment, direction, resource *uuid.UUID
				if err := rows.Scan(&e.RecordedAt, &e.Position, &e.Lpu, &e.Sequence, &e.Type, &e.At, &appointment, &direction,
					&resource, &e.Version); err != nil {
					return err
				}
				after = e.Position
				if e.Type != events.AppointmentBooked {
					continue
				}
				e.Appointment, e.Direction, e.Resource = *appointment, *direction, *resource
				for _, to := range byLpu[e.Lpu] {
					jobs = append(jobs, river.InsertManyParams{Args: delivery{to.URL, e}})
				}
			}
			rows.Close()
			if err := rows.Err(); err != nil || len(jobs) == 0 {
				return err
			}
			_, err = client.InsertManyFastTx(ctx, tx, jobs)
			return err
		})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(readEvery):
		}
	}
}
