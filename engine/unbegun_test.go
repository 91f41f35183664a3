// Steps that are cancelled in the turn that asked for them.

package engine

import (
	"testing"
	"testing/synctest"
)

func TestAStepThatIsCancelledBeforeItBeginsIsNotRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, want string }{
		"cancelled": {`
add = activity("add")
def main():
    f = add.start(1, 2)
    f.cancel()
    return [attempt(f.result).error.kind, activity("echo")(1)]
`, `["Cancelled",1]`},
		"with a sibling that is refused": {`
add = activity("add")
def main():
    e = attempt(parallel, [bind(add, 1, 2), bind(add, "x", "y")]).error
    return [e.kind, activity("echo")(1)]
`, `["BadArguments",1]`},
		"pure": {`
add = activity("add", pure = True)
def main():
    f = add.start(1, 2)
    f.cancel()
    return [attempt(f.result).error.kind, activity("echo")(1)]
`, `["Cancelled",1]`},
	} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{MaxConcurrency: 1, ReplayAlways: always})
				w.deploy(e, c.script)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				if r := w.finish(e, id); string(r.Value) != c.want {
					t.Errorf("%s: %s %+v", name, r.Value, r.Failure)
				}
				if n := w.called("add"); n != 0 {
					t.Errorf("%s: it was run %d times", name, n)
				}
				synctest.Wait()
				if n := e.worker.slots.available(); n != 1 {
					t.Errorf("%s: %d slots are free", name, n)
				}
				if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
					t.Errorf("%s: replay: %+v, %v", name, v, err)
				}
				stop()
				w.check()
			})
		}
	}
}
