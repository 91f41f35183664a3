package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// lame is a store of which one kind of call fails while on.
type lame struct {
	backend.Store
	on                   *atomic.Bool
	claim, session, open bool
}

func (l lame) Open(ctx context.Context, n backend.Session) (backend.SessionID, time.Time, error) {
	if l.open && l.on.Load() {
		return 0, time.Time{}, errDead
	}
	return l.Store.Open(ctx, n)
}

func (l lame) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	if l.claim && l.on.Load() {
		return nil, errDead
	}
	return l.Store.Claim(ctx, r)
}

func (l lame) Sessions(ctx context.Context) ([]backend.Session, error) {
	if l.session && l.on.Load() {
		return nil, errDead
	}
	return l.Store.Sessions(ctx)
}

// While a worker asks for some things in vain, heartbeats that pass are no reason to say that the database answers.
func TestAFaultThatHeartbeatsDoNotSeeIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]lame{"claims": {claim: true}, "sessions": {session: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var log strings.Builder
				store.Store, store.on = w.store, new(atomic.Bool)
				e, stop := w.engineOn(store, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				w.deploy(e, "def main():\n    return activity(\"add\")(1, 2)\n")
				store.on.Store(true)
				time.Sleep(10 * time.Minute)
				if e.Health().Fault == nil {
					t.Error("no fault is told")
				}
				store.on.Store(false)
				time.Sleep(time.Minute)
				if err := e.Health().Fault; err != nil {
					t.Errorf("a minute later the fault is %v", err)
				}
				want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), "3")
				stop()
				w.check()
				for _, words := range []string{"the database does not answer", "the database answers again"} {
					if n := strings.Count(log.String(), words); n != 1 {
						t.Errorf("%q was logged %d times", words, n)
					}
				}
			})
		})
	}
}

// Nor does a worker that cannot open its next session say so at every try.
func TestASessionThatCannotBeOpenedIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var log strings.Builder
		store := lame{Store: w.store, on: new(atomic.Bool), open: true}
		e, stop := w.engineOn(store, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w.deploy(e, "def main():\n    return activity(\"add\")(1, 2)\n")
		for range 2 {
			store.on.Store(true)
			if err := w.store.Revoke(t.Context(), e.Health().Session); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			if h := e.Health(); h.Fault == nil || h.Session != 0 {
				t.Errorf("without a session it stands thus: %+v", h)
			}
			store.on.Store(false)
			time.Sleep(time.Minute)
			if h := e.Health(); h.Fault != nil || h.Session == 0 {
				t.Errorf("a minute later it stands thus: %+v", h)
			}
		}
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), "3")
		stop()
		w.check()
		if n := strings.Count(log.String(), "cannot open a session"); n != 2 {
			t.Errorf("for two faults %d lines were logged:\n%s", n, &log)
		}
	})
}

// forbidden is a store that opens no session, for the role may not.
type forbidden struct{ backend.Store }

func (s forbidden) Open(context.Context, backend.Session) (backend.SessionID, time.Time, error) {
	return 0, time.Time{}, fmt.Errorf("%w: permission denied", backend.ErrRefused)
}

// Who may not open a session is told at once: waiting gives no rights.
func TestARefusedSessionEndsRunAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, err := New(forbidden{w.store}, activities.NewRegistry(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := e.Run(t.Context()); !errors.Is(err, backend.ErrRefused) || time.Since(began) > 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		w.check()
	})
}
