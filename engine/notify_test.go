package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// wire carries hints between the engines of a test.
type wire struct {
	mu     sync.Mutex
	hears  map[int]func(backend.Hint)
	next   int
	broken bool
	mute   bool // who listens hears, but nothing can be said
	sent   int
}

var errCut2 = errors.New("the wire is cut")

func (w *wire) Notify(_ context.Context, h backend.Hint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken || w.mute {
		return errCut2
	}
	w.sent++
	for _, heard := range w.hears {
		heard(h)
	}
	return nil
}

func (w *wire) Listen(ctx context.Context, heard func(backend.Hint)) error {
	w.mu.Lock()
	if w.broken {
		w.mu.Unlock()
		return errCut2
	}
	if w.hears == nil {
		w.hears = make(map[int]func(backend.Hint))
	}
	id := w.next
	w.next++
	w.hears[id] = heard
	w.mu.Unlock()
	heard(backend.Hint{})
	<-ctx.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.hears, id)
	return ctx.Err()
}

func (w *wire) cut(broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = broken
}

const wired = `
def child(n):
    return n + wait_signal("go")
def main(n):
    add = activity("add", queue = "far")
    f = workflow(child, queue = "far").start(n)
    m = add(n, 1)
    f.signal("go", m)
    return f.result()
`

// With wake-ups nobody waits for a poll; without them everything still goes on.
func TestWakeUpsReachOtherProcesses(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			n := &wire{}
			var text bytes.Buffer
			o := Options{Notifier: n, PollInterval: time.Minute, Logger: slog.New(slog.NewTextHandler(&text, nil))}
			if broken {
				n.cut(true)
				o.PollInterval = time.Second
			}
			_, stop := w.engine(o)
			far := o
			far.Queues = []string{"far"}
			_, stopFar := w.engine(far)
			client, err := New(w.store, w.reg, Options{Notifier: n})
			if err != nil {
				t.Fatal(err)
			}
			w.deploy(client, wired)
			time.Sleep(time.Hour)
			begun := time.Now()
			want(t, w.finish(client, w.dispatch(client, Input{Args: []any{5}}, DispatchOptions{})), `11`)
			took := time.Since(begun)
			if !broken && took > 100*time.Millisecond || broken && took > time.Minute {
				t.Errorf("broken %v: took %v", broken, took)
			}
			begun = time.Now()
			want(t, w.finish(client, w.dispatch(client, Input{Args: []any{6}}, DispatchOptions{Delay: 10 * time.Second})), `13`)
			if took := time.Since(begun); !broken && took > 10*time.Second+100*time.Millisecond {
				t.Errorf("delayed: took %v", took)
			}
			if complaints := strings.Count(text.String(), "level=WARN"); broken != (complaints > 0) || complaints > 4 {
				t.Errorf("%d complaints:\n%s", complaints, text.String())
			}
			stop()
			stopFar()
			if len(n.hears) > 0 {
				t.Errorf("%d still listen", len(n.hears))
			}
			w.check()
		})
	}
}

// A worker that listens to others who, like itself, cannot say anything does not rely on them. When they can, all hear so at once.
func TestWhoCannotSendWakeUpsDoesNotRelyOnThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &wire{}
		var text bytes.Buffer
		o := Options{Notifier: n, Logger: slog.New(slog.NewTextHandler(&text, nil))}
		_, stop := w.engine(o)
		defer stop()
		client, err := New(w.store, w.reg, Options{Notifier: n})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, "def main():\n    return 1\n")
		mute := func(m bool) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.mute = m
		}
		mute(true)
		w.finish(client, w.dispatch(client, Input{}, DispatchOptions{})) // the worker has said, in vain, that it ended
		time.Sleep(time.Hour + 100*time.Millisecond)
		for range 5 {
			time.Sleep(7 * time.Second)
			begun := time.Now()
			r := w.finish(client, w.dispatch(client, Input{}, DispatchOptions{}))
			want(t, r, `1`)
			if took := r.Execution.Started.Sub(begun); took > 1100*time.Millisecond {
				t.Errorf("begun after %v, though the worker could know that nothing is told", took)
			}
		}
		mute(false)
		time.Sleep(time.Hour)
		synctest.Wait() // a look may fall on the hour
		if log := text.String(); strings.Count(log, "cannot be sent") != 1 || strings.Count(log, "are sent again") != 1 {
			t.Errorf("the log:\n%s", log)
		}
		n.mu.Lock()
		sent := n.sent
		n.mu.Unlock()
		time.Sleep(time.Hour)
		if n.sent != sent {
			t.Errorf("%d hints in an hour in which nothing happened", n.sent-sent)
		}
		stop()
		w.check()
	})
}

// What is dispatched for later begins then, whether the process that has it from the first works itself or another does.
func TestWhatIsDelayedBeginsInTime(t *testing.T) {
	t.Parallel()
	for _, notifier := range []backend.Notifier{&wire{}, nil} {
		for _, elsewhere := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := Options{Notifier: notifier}
				e, stop := w.engine(o)
				defer stop()
				w.deploy(e, "def main():\n    return time.now().unix_nano // 1000000\n")
				client := e
				if elsewhere {
					c, err := New(w.store, w.reg, o)
					if err != nil {
						t.Fatal(err)
					}
					client = c
				}
				time.Sleep(time.Minute + 300*time.Millisecond)
				begun := time.Now()
				delays := []time.Duration{4 * time.Second, 100 * time.Millisecond, 9 * time.Second, 20 * time.Second, 2500 * time.Millisecond}
				var jobs []Job
				for _, d := range delays {
					jobs = append(jobs, Job{Options: DispatchOptions{Delay: d}})
				}
				ids, err := client.DispatchAll(t.Context(), "test", jobs)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range delays {
					ids = append(ids, w.dispatch(client, Input{}, DispatchOptions{Delay: d}))
				}
				allowed := 100 * time.Millisecond
				if elsewhere && notifier == nil {
					allowed = time.Second // a poll
				}
				for i, id := range ids {
					var at int64
					if err := json.Unmarshal(w.finish(e, id).Value, &at); err != nil {
						t.Fatal(err)
					}
					if late := time.Duration(at)*time.Millisecond - time.Duration(begun.UnixMilli())*time.Millisecond - delays[i%len(delays)]; late < 0 || late > allowed {
						t.Errorf("elsewhere %v, notified %v: what was delayed by %v began %v late", elsewhere, notifier != nil, delays[i%len(delays)], late)
					}
				}
				stop()
				w.check()
			})
		}
	}
}

// Whoever let a sleeper go told the others, once. A worker that comes later finds out by itself, though it looks seldom.
func TestALaterWorkerKnowsWhatIsDue(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{16 * time.Second, 20 * time.Minute} { // the second: many looks later
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o := Options{Notifier: &wire{}, ReleaseAfter: time.Second}
			e, stop := w.engine(o)
			w.deploy(e, "def main(d):\n    begun = time.now()\n    sleep(d)\n    return (time.now() - begun).seconds\n")
			id := w.dispatch(e, Input{Args: []any{after.Seconds() + 8}}, DispatchOptions{})
			time.Sleep(5 * time.Second) // it is let go
			stop()
			begun := time.Now()
			e, stop = w.engine(o)
			if _, err := e.Wait(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(begun) - (after + 3*time.Second); late < 0 || late > 100*time.Millisecond {
				t.Errorf("%v late", late)
			}
			stop()
			w.check()
		})
	}
}

// Hints that gather are sent as one, and one with too many names says nothing in particular.
func TestHintsGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := &slowWire{}
		e, err := New(w.store, w.reg, Options{Notifier: slow})
		if err != nil {
			t.Fatal(err)
		}
		e.tell(backend.Hint{Queues: []string{"first"}})
		synctest.Wait() // it is on its way
		for i := range 500 {
			e.tell(backend.Hint{Queues: []string{"q"}, Executions: []string{strings.Repeat("x", i+1)}})
		}
		time.Sleep(time.Minute)
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if len(slow.got) != 2 || slow.got[0].Queues[0] != "first" || !slow.got[1].Anything() {
			t.Errorf("%d hints", len(slow.got))
		}
	})
}

type slowWire struct {
	wire
	got []backend.Hint
}

func (s *slowWire) Notify(_ context.Context, h backend.Hint) error {
	s.mu.Lock()
	s.got = append(s.got, h)
	s.mu.Unlock()
	time.Sleep(time.Second)
	return nil
}

// A program without a worker may end when a call has returned: the hint has left by then.
func TestAClientsHintHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := &slowWire{}
		e, err := New(w.store, w.reg, Options{Notifier: slow})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(e, "def main():\n    wait_signal(\"go\")\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
			t.Fatal(err)
		}
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if len(slow.got) != 2 || slow.got[0].Queues == nil || slow.got[1].Executions[0] != id {
			t.Errorf("%+v", slow.got)
		}
	})
}

// What a worker leaves when it stops goes on elsewhere at once.
func TestAStoppedWorkerTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &wire{}
		o := Options{Notifier: n, PollInterval: time.Hour, DrainTimeout: time.Second}
		e, stop := w.engine(o)
		w.deploy(e, "def main():\n    return activity(\"nap\")(5000)\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		other, stopOther := w.engine(o)
		synctest.Wait()
		stop()
		begun := time.Now()
		want(t, w.finish(other, id), `5000`)
		if d := time.Since(begun); d > 5100*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		stopOther()
		w.check()
	})
}

// lose tells those who listen that nothing comes in.
func (w *wire) lose() {
	w.cut(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, heard := range w.hears {
		heard(backend.Hint{Lost: true})
	}
}

// Who is not told any more looks often, from that moment on.
func TestLostWakeUpsArePolledFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &wire{}
		e, stop := w.engine(Options{Notifier: n})
		client, err := New(w.store, w.reg, Options{Notifier: n})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, "def main(): return wait_signal(\"go\")\n")
		first, second := w.dispatch(e, Input{}, DispatchOptions{}), w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Hour + 100*time.Millisecond) // just after a look
		n.lose()
		for _, id := range []string{first, second} {
			time.Sleep(100 * time.Millisecond)
			if err := client.Signal(t.Context(), id, "go", nil); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			want(t, w.finish(client, id), "null")
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			time.Sleep(time.Hour)
		}
		n.cut(false)
		stop()
		w.check()
	})
}

// That nobody is told any more is told once, when it lasts, and for what reason.
func TestLostWakeUpsAreToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &wire{}
		var text bytes.Buffer
		_, stop := w.engine(Options{Notifier: n, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		synctest.Wait()
		hear := func(h backend.Hint) {
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, heard := range n.hears {
				heard(h)
			}
		}
		lost := backend.Hint{Lost: true, Why: errors.New("who are you?")}
		for _, c := range []struct {
			lasts        time.Duration
			warns, infos int
		}{{9 * time.Second, 0, 0}, {time.Hour, 1, 1}} {
			text.Reset()
			hear(lost)
			time.Sleep(c.lasts)
			hear(lost)
			hear(backend.Hint{})
			time.Sleep(time.Minute)
			warns := strings.Count(text.String(), `msg="no wake-ups come in; polling until they do" error="who are you?"`)
			if infos := strings.Count(text.String(), "wake-ups come in again"); warns != c.warns || infos != c.infos {
				t.Errorf("%v: %s", c.lasts, text.String())
			}
		}
		stop()
		w.check()
	})
}

// held is a notifier whose hints are on their way for as long as the test wants.
type held struct{ hints chan backend.Hint }

func (h *held) Notify(_ context.Context, hint backend.Hint) error {
	h.hints <- hint
	return nil
}

func (h *held) Listen(ctx context.Context, _ func(backend.Hint)) error {
	<-ctx.Done()
	return ctx.Err()
}

// While a hint is on its way to a server that hangs, every commit adds to the next one.
func TestWhatGathersBehindAHintIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &held{make(chan backend.Hint)}
		e, err := New(newWorld(t).store, nil, Options{Notifier: n})
		if err != nil {
			t.Fatal(err)
		}
		e.wakeups.expectAwaited(time.Hour)
		e.tell(backend.Hint{Ended: []string{"first"}})
		synctest.Wait()
		for i := range 10 * maxEnded {
			e.tell(backend.Hint{Ended: []string{strconv.Itoa(i)}})
		}
		if p := e.wakeups.pending; len(p.Ended) > maxEnded+1 {
			t.Errorf("%d names gathered", len(p.Ended))
		}
		if h := <-n.hints; len(h.Ended) != 1 {
			t.Errorf("the first hint: %+v", h)
		}
		synctest.Wait() // the second is on its way
		e.tell(backend.Hint{Ended: []string{"last"}})
		if h := <-n.hints; !h.Anything() || h.From == "" {
			t.Errorf("a hint of too many: %d names, from %q", len(h.Ended), h.From)
		}
		if h := <-n.hints; len(h.Ended) != 1 || h.Ended[0] != "last" {
			t.Errorf("the hint behind it: %+v", h)
		}
	})
}
