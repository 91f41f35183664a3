// go-workflows: every activity is a task of the store.

package main

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/postgres"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	wfclient "github.com/cschleiden/go-workflows/client"
	wfworker "github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
	_ "github.com/jackc/pgx/v5/stdlib"
)

var goWorkflowsPeer = peer{
	name: "go-workflows", version: "1.4.2", stores: []string{"sqlite full", "sqlite normal", "postgres"}, shared: true,
	settings: "pollers every 5 ms (16 of each kind on PostgreSQL, 4 on SQLite), executor cache for all, single worker mode where there is one; locks of 5 s for W6 (its default is two minutes)",
	make:     func() engine { return &goWorkflowsEngine{} },
}

type goWorkflowsEngine struct {
	backend backend.Backend
	client  *wfclient.Client
	stop    context.CancelFunc
	worker  *wfworker.Worker
}

// pollEvery is the shortest pause that makes it faster: 1 ms does not.
const pollEvery = 5 * time.Millisecond

var wfOptions = workflow.DefaultActivityOptions

func wfStep(ctx context.Context, i int, payload string) (string, error) { return step(ctx, i, payload) }

func wfSequence(ctx workflow.Context, n int, payload string) (int, error) {
	for i := range n {
		if _, err := workflow.ExecuteActivity[string](ctx, wfOptions, wfStep, i, payload).Get(ctx); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func wfFan(ctx workflow.Context, n int) (int, error) {
	var all []workflow.Future[string]
	for i := range n {
		all = append(all, workflow.ExecuteActivity[string](ctx, wfOptions, wfStep, i, ""))
	}
	for _, f := range all {
		if _, err := f.Get(ctx); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func wfHold(ctx workflow.Context) (int, error) {
	v, _ := workflow.NewSignalChannel[int](ctx, "go").Receive(ctx)
	return v, nil
}

func (e *goWorkflowsEngine) open(ctx context.Context, at place, role role) error {
	common := []backend.BackendOption{
		backend.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))), backend.WithMaxHistorySize(1 << 30),
		backend.WithWorkflowLockTimeout(5 * time.Second), backend.WithActivityLockTimeout(5 * time.Second), backend.WithStickyTimeout(0),
	}
	pollers := 4
	if at.Kind == "postgres" {
		db, err := sql.Open("pgx", at.URL)
		if err != nil {
			return err
		}
		db.SetMaxOpenConns(40)
		db.SetMaxIdleConns(40)
		e.backend = postgres.NewPostgresBackendWithDB(db, postgres.WithApplyMigrations(role != asWorker), postgres.WithBackendOptions(common...))
		pollers = 16
	} else {
		db, err := openSQLite(filepath.Join(at.Dir, "go-workflows.db"), at.synchronous())
		if err != nil {
			return err
		}
		e.backend = sqlite.NewSqliteBackendWithDB(db, sqlite.WithApplyMigrations(true), sqlite.WithBackendOptions(common...))
	}
	e.client = wfclient.New(e.backend)
	if role == asClient {
		return nil
	}
	o := wfworker.DefaultOptions
	o.WorkflowPollers, o.ActivityPollers = pollers, pollers
	o.WorkflowPollingInterval, o.ActivityPollingInterval = pollEvery, pollEvery
	o.WorkflowExecutorCacheSize, o.WorkflowExecutorCacheTTL = 100_000, time.Hour
	o.WorkflowHeartbeatInterval, o.ActivityHeartbeatInterval = time.Second, time.Second
	o.SingleWorkerMode = role == asBoth
	e.worker = wfworker.New(e.backend, &o)
	for _, f := range []any{wfSequence, wfFan, wfHold} {
		if err := e.worker.RegisterWorkflow(f); err != nil {
			return err
		}
	}
	if err := e.worker.RegisterActivity(wfStep); err != nil {
		return err
	}
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	return e.worker.Start(ctx)
}

func (e *goWorkflowsEngine) begin(ctx context.Context, id string, f any, args ...any) (await, error) {
	w, err := e.client.CreateWorkflowInstance(ctx, wfclient.WorkflowInstanceOptions{InstanceID: id}, f, args...)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := wfclient.GetWorkflowResult[int](ctx, e.client, w, time.Hour)
		return err
	}, nil
}

func (e *goWorkflowsEngine) sequence(ctx context.Context, id string, n int, payload string) (await, error) {
	return e.begin(ctx, id, wfSequence, n, payload)
}

func (e *goWorkflowsEngine) fan(ctx context.Context, id string, n int) (await, error) {
	return e.begin(ctx, id, wfFan, n)
}

func (e *goWorkflowsEngine) hold(ctx context.Context, id string) error {
	_, err := e.begin(ctx, id, wfHold)
	return err
}

func (e *goWorkflowsEngine) close() {
	if e.stop != nil {
		e.stop()
		_ = e.worker.WaitForCompletion()
	}
	_ = e.backend.Close()
}
