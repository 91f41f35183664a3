// durabletask-go: every activity is a work item of the store.

package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/microsoft/durabletask-go/api"
	"github.com/microsoft/durabletask-go/backend"
	"github.com/microsoft/durabletask-go/backend/sqlite"
	"github.com/microsoft/durabletask-go/task"
)

var durableTaskPeer = peer{
	name: "durabletask-go", version: "0.6.0", stores: []string{"sqlite full", "sqlite normal"},
	settings: "256 orchestrations and activities at once; WAL and `synchronous` by the database's name; the end is looked for after 5 ms and then ever more seldom, at least once a second; locks of 5 s for W6",
	make:     func() engine { return &durableTaskEngine{} },
}

type durableTaskEngine struct {
	worker backend.TaskHubWorker
	client backend.TaskHubClient
}

type dtJob struct {
	I, N    int
	Payload string
}

func dtStep(ctx task.ActivityContext) (any, error) {
	var job dtJob
	if err := ctx.GetInput(&job); err != nil {
		return nil, err
	}
	return step(ctx.Context(), job.I, job.Payload)
}

func dtSequence(ctx *task.OrchestrationContext) (any, error) {
	var job dtJob
	if err := ctx.GetInput(&job); err != nil {
		return nil, err
	}
	for i := range job.N {
		var out string
		if err := ctx.CallActivity(dtStep, task.WithActivityInput(dtJob{I: i, Payload: job.Payload})).Await(&out); err != nil {
			return nil, err
		}
	}
	return job.N, nil
}

func dtFan(ctx *task.OrchestrationContext) (any, error) {
	var job dtJob
	if err := ctx.GetInput(&job); err != nil {
		return nil, err
	}
	var all []task.Task
	for i := range job.N {
		all = append(all, ctx.CallActivity(dtStep, task.WithActivityInput(dtJob{I: i})))
	}
	for _, one := range all {
		var out string
		if err := one.Await(&out); err != nil {
			return nil, err
		}
	}
	return job.N, nil
}

func dtHold(ctx *task.OrchestrationContext) (any, error) {
	var v int
	return v, ctx.WaitForSingleEvent("go", time.Hour).Await(&v)
}

// quiet is a logger that says nothing.
type quiet struct{}

func (quiet) Debug(...any)          {}
func (quiet) Debugf(string, ...any) {}
func (quiet) Info(...any)           {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warn(...any)           {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Error(...any)          {}
func (quiet) Errorf(string, ...any) {}

func (e *durableTaskEngine) open(ctx context.Context, at place, _ role) error {
	r := task.NewTaskRegistry()
	for name, f := range map[string]task.Orchestrator{"dtSequence": dtSequence, "dtFan": dtFan, "dtHold": dtHold} {
		if err := r.AddOrchestratorN(name, f); err != nil {
			return err
		}
	}
	if err := r.AddActivityN("dtStep", dtStep); err != nil {
		return err
	}
	o := sqlite.NewSqliteOptions("file:" + filepath.Join(at.Dir, "durabletask.db") + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(" + at.synchronous() + ")")
	o.OrchestrationLockTimeout, o.ActivityLockTimeout = 5*time.Second, 5*time.Second
	be := sqlite.NewSqliteBackend(o, quiet{})
	executor := task.NewTaskExecutor(r)
	e.worker = backend.NewTaskHubWorker(be,
		backend.NewOrchestrationWorker(be, executor, quiet{}, backend.WithMaxParallelism(256)),
		backend.NewActivityTaskWorker(be, executor, quiet{}, backend.WithMaxParallelism(256)), quiet{})
	e.client = backend.NewTaskHubClient(be)
	return e.worker.Start(context.WithoutCancel(ctx))
}

func (e *durableTaskEngine) begin(ctx context.Context, id, name string, job dtJob) (await, error) {
	_, err := e.client.ScheduleNewOrchestration(ctx, name, api.WithInstanceID(api.InstanceID(id)), api.WithInput(job))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		// Its own wait looks after 100 ms for the first time, and later every ten seconds.
		for pause := 5 * time.Millisecond; ; pause = min(pause+pause/4, time.Second) {
			m, err := e.client.FetchOrchestrationMetadata(ctx, api.InstanceID(id))
			switch {
			case err != nil:
				return err
			case m.FailureDetails != nil:
				return api.ErrNotCompleted
			case m.IsComplete():
				return nil
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, nil
}

func (e *durableTaskEngine) sequence(ctx context.Context, id string, n int, payload string) (await, error) {
	return e.begin(ctx, id, "dtSequence", dtJob{N: n, Payload: payload})
}

func (e *durableTaskEngine) fan(ctx context.Context, id string, n int) (await, error) {
	return e.begin(ctx, id, "dtFan", dtJob{N: n})
}

func (e *durableTaskEngine) hold(ctx context.Context, id string) error {
	_, err := e.begin(ctx, id, "dtHold", dtJob{})
	return err
}

func (e *durableTaskEngine) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = e.worker.Shutdown(ctx)
}
