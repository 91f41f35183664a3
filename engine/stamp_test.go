package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// unhurried is an observer that takes its time: the clock goes on between a delivery and what the script makes of it.
type unhurried struct{}

func (unhurried) Observe(Event) { time.Sleep(5 * time.Millisecond) }

// time.now() is the same live and on replay, though a result with a lifetime is kept, or given up, in between.
func TestTimeStandsStillWhereAResultIsKept(t *testing.T) {
	t.Parallel()
	const script = `
add = activity("add", cached = True, cache_ttl = "1h")
block = activity("block", cached = True, cache_ttl = "1h")
echo = activity("echo")
def main(n):
    for i in range(n):
        add(i, 1)
        echo(time.now().unix_nano)
        f = block.start()
        echo(i)
        f.cancel()
        echo(time.now().unix_nano)
        f.attempt()
    return n
`
	t.Run("by the machine's clock", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		replayed(t, w, Options{}, script, 100)
	})
	t.Run("with a slow observer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			replayed(t, w, Options{Observer: unhurried{}}, script, 3)
		})
	})
}

// replayed runs a script to its end and fails the test unless its journal replays.
func replayed(t *testing.T, w *world, o Options, script string, args ...any) {
	t.Helper()
	e, stop := w.engine(o)
	w.deploy(e, script)
	id := w.dispatch(e, Input{Args: args}, DispatchOptions{})
	if r := w.finish(e, id); r.Failure != nil {
		t.Errorf("%v", r.Failure)
	}
	if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
		t.Errorf("replay: %s %v", v.Reason, err)
	}
	stop()
	w.check()
}
