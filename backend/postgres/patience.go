// How long a transaction that has begun is waited for.

package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// A transaction that has begun is not called off with its caller's context, but a server that does not answer is given up: after
// some time, and soon when nobody asks any more.
//
// A session's that waits for a synchronous standby is waited for as long as somebody does. Called off there, it stands on its server
// alone, for all to see (https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION-HA): a worker that finds it
// then takes it for landed and builds on what a fail-over would lose. Who has no session is told that it may not have landed, and why; soon
// when he asks for a session.

// hasty marks a context whose owner would rather know soon what he waits for.
type hasty struct{}

// wait is how long a transaction is waited for. There is one for each: what it allocates, each step of an execution pays for.
type wait struct {
	ctx     context.Context // of the transaction
	giveUp  context.CancelCauseFunc
	caller  context.Context
	store   *Store
	session backend.SessionID
	begun   time.Time
	silence time.Duration
	late    time.Duration
	looks   *time.Timer
	tells   *time.Timer // nil: for a session
	left    func() bool
}

// patient begins to wait for a transaction that has begun, for a caller; end is called when that is over.
func (s *Store) patient(caller context.Context, session backend.SessionID) *wait {
	w := &wait{caller: caller, store: s, session: session, begun: time.Now(), silence: s.silence, late: s.late}
	w.ctx, w.giveUp = context.WithCancelCause(context.Background()) // what the caller's says of connections is of no more use
	w.looks = time.AfterFunc(w.silence, w.look)
	w.left = context.AfterFunc(caller, w.leave)
	if session == 0 {
		soon := w.silence / 2
		if caller.Value(hasty{}) != nil {
			soon = knows(w.late)
		}
		w.tells = time.AfterFunc(soon, w.tell)
	}
	return w
}

// look gives up, unless there is a reason to wait on.
func (w *wait) look() {
	switch {
	case w.ctx.Err() != nil: // it is over
	case w.session != 0 && w.caller.Err() == nil && w.awaitsStandby():
		time.AfterFunc(w.silence, w.look)
	default:
		w.giveUp(silentFor(time.Since(w.begun)))
	}
}

// leave is called when nobody asks any more.
func (w *wait) leave() { time.AfterFunc(w.late, w.look) }

// tell gives up when it is known what is waited for.
func (w *wait) tell() {
	if w.ctx.Err() == nil && w.awaitsStandby() {
		w.giveUp(errStandby)
	}
}

func (w *wait) awaitsStandby() bool { return w.store.awaitsStandby(w.ctx, w.late/2) }

func (w *wait) end() {
	w.looks.Stop()
	if w.tells != nil {
		w.tells.Stop()
	}
	w.left()
	w.giveUp(nil)
}

// unanswered is what became of a transaction: in our words when it was given up.
func unanswered(ctx context.Context, err error) error {
	if why := context.Cause(ctx); err != nil && why != nil {
		return why
	}
	return err
}

// silentFor says that no answer has come.
func silentFor(d time.Duration) error {
	unit := time.Second
	if d < unit {
		unit = time.Millisecond
	}
	return fmt.Errorf("%w: no answer has come for %v", backend.ErrTransient, d.Round(unit))
}

// errStandby says what commits wait for.
var errStandby = fmt.Errorf("%w: commits wait for a synchronous standby that does not answer (synchronous_standby_names and pg_stat_replication of the server say for which)", backend.ErrTransient)

// knows is after how long a heartbeat without an answer, or who asks for a session, may know that it is the standby.
func knows(late time.Duration) time.Duration { return late * 3 / 2 }

// awaitsStandby reports whether a transaction of our user has waited for a standby for some time. It may be another one than the
// one that is asked about, whose server process cannot be named behind a pooler: that one waits for a lock then, or would wait next.
func (s *Store) awaitsStandby(ctx context.Context, since time.Duration) (yes bool) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, anew{}, true), pong)
	defer cancel()
	err := s.read(ctx, func(t *tx) error {
		_, err := t.first([]any{&yes}, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user
			AND wait_event = 'SyncRep' AND query_start < now() - $1::bigint * interval '1 microsecond')`, since.Microseconds())
		return err
	})
	return err == nil && yes
}
