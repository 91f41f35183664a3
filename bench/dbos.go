// DBOS Transact: steps run in the workflow's goroutine, each recorded in a commit.

package main

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite"
)

var dbosPeer = peer{
	name: "DBOS", version: "1.8.0", stores: []string{"sqlite full", "sqlite normal", "postgres"}, shared: true,
	settings: "workflows run where they are begun, `RunAsStep`, fan-out with `Go`; a queue, polled every 10 ms, where several processes work; " +
		"SQLite with its own recommended settings (WAL, one connection), and `synchronous` as named",
	make: func() engine { return &dbosEngine{} },
}

type dbosEngine struct {
	ctx  dbos.Context
	role role
}

// dbosJob is the input of all its workflows.
type dbosJob struct {
	N       int
	Payload string
}

const dbosQueue = "bench"

func dbosSequence(ctx dbos.Context, job dbosJob) (int, error) {
	for i := range job.N {
		_, err := dbos.RunAsStep(ctx, func(c context.Context) (string, error) { return step(c, i, job.Payload) })
		if err != nil {
			return 0, err
		}
	}
	return job.N, nil
}

func dbosFan(ctx dbos.Context, job dbosJob) (int, error) {
	var all []<-chan dbos.StepOutcome[string]
	for i := range job.N {
		one, err := dbos.Go(ctx, func(c context.Context) (string, error) { return step(c, i, "") })
		if err != nil {
			return 0, err
		}
		all = append(all, one)
	}
	for _, one := range all {
		if out := <-one; out.Err != nil {
			return 0, out.Err
		}
	}
	return job.N, nil
}

func dbosHold(ctx dbos.Context, _ dbosJob) (int, error) {
	return dbos.Recv[int](ctx, "go", time.Hour)
}

func (e *dbosEngine) open(ctx context.Context, at place, role role) (err error) {
	e.role = role
	c := dbos.Config{AppName: "bench", ApplicationVersion: "1", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if at.Kind == "postgres" {
		c.DatabaseURL = at.URL
	} else if c.SQLiteSystemDB, err = openSQLite(filepath.Join(at.Dir, "dbos.db"), at.synchronous()); err != nil {
		return err
	}
	if e.ctx, err = dbos.NewContext(ctx, c); err != nil {
		return err
	}
	dbos.RegisterWorkflow(e.ctx, dbosSequence, dbos.WithWorkflowName("sequence"))
	dbos.RegisterWorkflow(e.ctx, dbosFan, dbos.WithWorkflowName("fan"))
	dbos.RegisterWorkflow(e.ctx, dbosHold, dbos.WithWorkflowName("hold"))
	if role == asClient {
		dbos.ListenQueues(e.ctx, "nobody's")
	}
	if err := dbos.Launch(e.ctx); err != nil {
		return err
	}
	if role != asBoth {
		_, err = dbos.RegisterQueue(e.ctx, dbosQueue, dbos.WithQueueBasePollingInterval(10*time.Millisecond))
	}
	return err
}

// openSQLite opens a file as the peers' own constructors do, but for synchronous.
func openSQLite(path, synchronous string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(ON)&_pragma=synchronous("+synchronous+")")
	if err == nil {
		db.SetMaxOpenConns(1) // a file has one writer
	}
	return db, err
}

func (e *dbosEngine) begin(id string, fn dbos.Workflow[dbosJob, int], job dbosJob) (await, error) {
	o := []dbos.WorkflowOption{dbos.WithWorkflowID(id)}
	if e.role == asClient {
		q, err := dbos.RegisterQueue(e.ctx, dbosQueue, dbos.WithQueueBasePollingInterval(10*time.Millisecond))
		if err != nil {
			return nil, err
		}
		o = append(o, dbos.WithQueue(q))
	}
	h, err := dbos.RunWorkflow(e.ctx, fn, job, o...)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { _, err := h.GetResult(); return err }, nil
}

func (e *dbosEngine) sequence(_ context.Context, id string, n int, payload string) (await, error) {
	return e.begin(id, dbosSequence, dbosJob{n, payload})
}

func (e *dbosEngine) fan(_ context.Context, id string, n int) (await, error) {
	return e.begin(id, dbosFan, dbosJob{N: n})
}

func (e *dbosEngine) hold(_ context.Context, id string) error {
	_, err := e.begin(id, dbosHold, dbosJob{})
	return err
}

func (e *dbosEngine) close() { dbos.Shutdown(e.ctx, time.Second) }
