// Senpuki: its defaults, executions begun where they run.

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing/fstest"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/sqlite"
	senpuki "github.com/senpuki/senpuki/engine"
)

var senpukiPeer = peer{
	name: "Senpuki", version: "this tree", stores: []string{"sqlite full", "sqlite normal", "postgres"}, shared: true,
	settings: "defaults, and a retry delay of 1 ms for W6: an attempt that died with its process is tried again after the delay",
	make:     func() engine { return &senpukiEngine{} },
}

var senpukiPurePeer = peer{
	name: "Senpuki, pure", version: "this tree", stores: []string{"sqlite full", "sqlite normal", "postgres"},
	settings: "defaults; the step is declared `pure = True`, so that steps run ahead of their records (W1 only)",
	make:     func() engine { return &senpukiEngine{pure: true} },
}

const senpukiScript = `
step = activity("step", pure = %s, retry = retry_policy(initial_delay = "1ms"))

def sequence(n, payload):
    for i in range(n):
        step(i, payload)

def fan(n):
    step.starmap([(i, "") for i in range(n)])

def hold():
    wait_signal("go")

def main():
    pass
`

type senpukiEngine struct {
	pure  bool
	role  role
	store backend.Store
	eng   *senpuki.Engine
	stop  context.CancelFunc
	done  chan error
}

func (e *senpukiEngine) open(ctx context.Context, at place, role role) (err error) {
	e.role = role
	if at.Kind == "postgres" {
		e.store, err = postgres.Open(ctx, at.URL)
	} else {
		e.store, err = sqlite.Open(ctx, "sqlite:"+filepath.Join(at.Dir, "senpuki.db")+"?synchronous="+map[string]string{"FULL": "full", "NORMAL": "normal"}[at.synchronous()])
	}
	if err != nil {
		return err
	}
	reg := activities.NewRegistry()
	if err := reg.Register("step", step); err != nil {
		return err
	}
	if e.eng, err = senpuki.New(e.store, reg, senpuki.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}); err != nil {
		return err
	}
	pure := "False"
	if e.pure {
		pure = "True"
	}
	script := fmt.Sprintf(senpukiScript, pure)
	if _, err := e.eng.Deploy(ctx, fstest.MapFS{"bench.star": {Data: []byte(script)}}, "bench.star"); err != nil {
		return err
	}
	if role == asClient {
		return nil
	}
	run, stop := context.WithCancel(context.Background())
	e.stop, e.done = stop, make(chan error, 1)
	go func() { e.done <- e.eng.Run(run) }()
	select {
	case <-e.eng.Ready():
		return nil
	case err := <-e.done:
		return err
	}
}

func (e *senpukiEngine) begin(ctx context.Context, id, function string, args ...any) (await, error) {
	id, err := e.eng.Dispatch(ctx, "bench", senpuki.Input{Args: args}, senpuki.DispatchOptions{ID: id, Function: function, Here: e.role == asBoth})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		x, err := e.eng.Wait(ctx, id)
		if err == nil && x.State != backend.Completed {
			err = fmt.Errorf("%s is %s", id, x.State)
		}
		return err
	}, nil
}

func (e *senpukiEngine) sequence(ctx context.Context, id string, n int, payload string) (await, error) {
	return e.begin(ctx, id, "sequence", n, payload)
}

func (e *senpukiEngine) fan(ctx context.Context, id string, n int) (await, error) {
	return e.begin(ctx, id, "fan", n)
}

func (e *senpukiEngine) hold(ctx context.Context, id string) error {
	_, err := e.begin(ctx, id, "hold")
	return err
}

func (e *senpukiEngine) close() {
	if e.stop != nil {
		e.stop()
		<-e.done
	}
	_ = e.store.Close()
}
