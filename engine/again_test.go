package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

const thirdTime = `
def main(times):
    got = wait_signal("go")
    if info.run < times:
        error("NotYet", "run %d" % info.run)
    return [info.run, got]
`

func TestAnExecutionIsTriedAgainAsAWhole(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, thirdTime)
			policy := &activities.RetryPolicy{MaxAttempts: 3, InitialDelay: 2 * time.Minute, MaxDelay: time.Hour, Jitter: -1}
			id := w.dispatch(e, Input{Args: []any{3}}, DispatchOptions{Retry: policy})
			begun := time.Now()
			if err := e.Signal(t.Context(), id, "go", []byte("7")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if n := e.Held(); n != 0 {
				t.Errorf("%d held while waiting", n)
			}
			h, err := e.History(t.Context(), id)
			if err != nil || h.Tries == nil || h.Tries.Attempt != 2 || h.Tries.Of != 3 || h.Tries.Failure.Kind != "NotYet" || h.Execution.State != backend.Running {
				t.Errorf("%+v %v", h.Tries, err)
			}
			stop()
			e, stop = w.engine(Options{ReplayAlways: always})
			want(t, w.finish(e, id), `[3,7]`) // the signal is there for each attempt
			if took := time.Since(begun); took < 6*time.Minute || took > 7*time.Minute {
				t.Errorf("took %v", took)
			}
			id = w.dispatch(e, Input{Args: []any{9}}, DispatchOptions{Retry: policy})
			if err := e.Signal(t.Context(), id, "go", []byte("8")); err != nil {
				t.Fatal(err)
			}
			w.finish(e, id)
			x, err := e.State(t.Context(), id)
			if err != nil || x.State != backend.Failed || x.Failure.Message != "run 3" || x.Run != 3 {
				t.Errorf("%s %v run %d", x.State, x.Failure, x.Run)
			}
			stop()
			w.check()
		})
	}
}

func TestWhatEndsAnExecutionBetweenItsAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(kind):
    error(kind, "run %d" % info.run)
`)
		policy := &activities.RetryPolicy{InitialDelay: time.Hour, MaxDelay: time.Hour, NoRetryFor: []string{"Final"}}
		cancelled := w.dispatch(e, Input{Args: []any{"K"}}, DispatchOptions{Retry: policy})
		expires := w.dispatch(e, Input{Args: []any{"K"}}, DispatchOptions{Retry: policy, Expiry: time.Minute})
		final := w.dispatch(e, Input{Args: []any{"Final"}}, DispatchOptions{Retry: policy})
		time.Sleep(10 * time.Minute)
		if err := e.Cancel(t.Context(), cancelled, "enough"); err != nil {
			t.Fatal(err)
		}
		for id, state := range map[string]backend.State{cancelled: backend.Cancelled, expires: backend.Failed, final: backend.Failed} {
			ctx, done := context.WithTimeout(t.Context(), time.Minute)
			x, err := e.Wait(ctx, id)
			done()
			if err != nil || x.State != state {
				t.Errorf("%s: %s %v %v", id, x.State, x.Failure, err)
			}
			if wantRun := 1; id != cancelled && x.Run != wantRun {
				t.Errorf("%s: run %d", id, x.Run)
			}
		}
		if _, err := e.Dispatch(t.Context(), "flow", Input{}, DispatchOptions{Retry: &activities.RetryPolicy{MaxAttempts: -1}}); err == nil {
			t.Error("a negative number of attempts was taken")
		}
		stop()
		w.check()
	})
}

// A cancel that came together with what made the attempt fail does not wait for the next one.
func TestACancelBehindASignalEndsTheWaitForTheNextAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, thirdTime)
		id := w.dispatch(e, Input{Args: []any{3}}, DispatchOptions{Retry: &activities.RetryPolicy{InitialDelay: time.Hour, MaxDelay: time.Hour}})
		synctest.Wait()
		stop()
		if err := e.Signal(t.Context(), id, "go", []byte("7")); err != nil {
			t.Fatal(err)
		}
		if err := e.Cancel(t.Context(), id, "enough"); err != nil {
			t.Fatal(err)
		}
		e, stop = w.engine(Options{})
		time.Sleep(time.Minute)
		if x, err := e.State(t.Context(), id); err != nil || x.State != backend.Cancelled || x.Failure.Message != "enough" {
			t.Errorf("%s %v %v", x.State, x.Failure, err)
		}
		stop()
		w.check()
	})
}

// The clock of an attempt, and what counts by it, begin with the attempt: after the delay, and when a worker is there.
func TestTheClockOfALaterAttempt(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		for _, away := range []time.Duration{0, 30 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{ReplayAlways: always})
				w.deploy(e, `
echo = activity("echo")
def child():
    sleep("30s")
    return "in time"
def main():
    begun = time.now()
    sleep("0.9s")
    slept = time.now() - begun
    said = workflow(child, expiry = "1m")()
    echo(begun.unix)
    if info.run < 3:
        error("NotYet")
    return [slept.milliseconds, said, (begun - info.started_at).seconds, begun.unix]
`)
				begun := time.Now()
				id := w.dispatch(e, Input{}, DispatchOptions{Retry: &activities.RetryPolicy{InitialDelay: 10 * time.Minute, BackoffFactor: 1, MaxDelay: time.Hour, Jitter: -1}})
				time.Sleep(15 * time.Minute)
				if away > 0 {
					stop()
					time.Sleep(away)
					e, stop = w.engine(Options{ReplayAlways: always})
				}
				r := w.finish(e, id)
				last := begun.Unix() + int64(max(20*time.Minute+61*time.Second, away+15*time.Minute)/time.Second)
				want(t, r, fmt.Sprintf(`[900,"in time",0.0,%d]`, last))
				if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
					t.Errorf("replay: %s %v", v.Reason, err)
				}
				stop()
				w.check()
			})
		}
	}
}

// Each attempt begins with the state and the counters that its run was begun with.
func TestWhatAContinuedRunTookOverIsThereForEachAttempt(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
def main(first = True):
    n = counter("runs").add()
    if first:
        state.set("kept", "s")
        continue_as_new(first = False)
    if info.run < 4:
        error("NotYet", "run %d" % info.run)
    return [info.run, state.get("kept"), n]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{Retry: &activities.RetryPolicy{MaxAttempts: 3, InitialDelay: time.Second}})
			want(t, w.finish(e, id), `[4,"s",2]`)
			stop()
			w.check()
		})
	}
}

// A step that is given up is a dead letter of the last attempt only: before that the whole is tried again.
func TestDeadLettersOfAttemptsThatAreTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
boom = activity("boom", retry = retry_policy(max_attempts = 1))
def main(works):
    boom.attempt("Early")
    if info.run < works:
        boom("Late")
    return info.run
`)
		letters := func(id string) (kinds []string) {
			found, err := e.Letters(t.Context(), backend.LetterFilter{Execution: id})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range found {
				kinds = append(kinds, l.Failure.Kind)
			}
			return kinds
		}
		policy := &activities.RetryPolicy{MaxAttempts: 2, InitialDelay: time.Second}
		good := w.dispatch(e, Input{Args: []any{2}}, DispatchOptions{Retry: policy})
		want(t, w.finish(e, good), "2")
		if got := letters(good); len(got) != 1 || got[0] != "Early" {
			t.Errorf("letters of what succeeded in the end: %v", got)
		}
		bad := w.dispatch(e, Input{Args: []any{9}}, DispatchOptions{Retry: policy})
		w.finish(e, bad)
		if got := letters(bad); len(got) != 2 || got[0] != "Late" || got[1] != "Early" {
			t.Errorf("letters of what failed in the end: %v", got)
		}
		stop()
		w.check()
	})
}
