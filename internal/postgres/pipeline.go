package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"talon.example/gen/db"
)

// pipeline sends the statements of several generated queries in one round trip. Each generated batch query hands its statements to SendBatch, which
// only gathers them; the first result that is read sends all. Results are read in the order of the queries.
type pipeline struct {
	db.DBTX

	ctx     context.Context //nolint:containedctx // results are read by generated code, which has no context to give
	batch   pgx.Batch
	results pgx.BatchResults
}

func newPipeline(ctx context.Context, conn db.DBTX) *pipeline {
	return &pipeline{DBTX: conn, ctx: ctx}
}

// SendBatch gathers the statements of one generated query.
func (p *pipeline) SendBatch(_ context.Context, batch *pgx.Batch) pgx.BatchResults {
	for _, query := range batch.QueuedQueries {
		p.batch.Queue(query.SQL, query.Arguments...)
	}
	return gathered{p}
}

// queue gathers a statement without rows; exec reads that it was done.
func (p *pipeline) queue(sql string) {
	p.batch.Queue(sql)
}

func (p *pipeline) exec() error {
	_, err := p.sent().Exec()
	return err
}

// begin makes the pipeline begin a transaction first; begun reads that it has. It is left open by close, for the caller to end.
func (p *pipeline) begin() {
	p.batch.BeginTx(pgx.TxOptions{})
}

func (p *pipeline) begun() (pgx.Tx, error) {
	err := p.exec()
	return p.sent().Tx(), err
}

func (p *pipeline) sent() pgx.BatchResults {
	if p.results == nil {
		p.results = p.DBTX.SendBatch(p.ctx, &p.batch)
	}
	return p.results
}

func (p *pipeline) close() error {
	return p.sent().Close()
}

// gathered are the results of one query of a pipeline. The generated code closes it after each query; the pipeline itself is closed once, at the end.
type gathered struct{ pipeline *pipeline }

func (g gathered) Exec() (pgconn.CommandTag, error) { return g.pipeline.sent().Exec() }
func (g gathered) Query() (pgx.Rows, error)         { return g.pipeline.sent().Query() }
func (g gathered) QueryRow() pgx.Row                { return g.pipeline.sent().QueryRow() }
func (g gathered) Close() error                     { return nil }
func (g gathered) Tx() pgx.Tx                       { return nil }
