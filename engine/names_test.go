package engine

import (
	"strings"
	"testing"
	"testing/synctest"
)

func TestLongNamesAreRefusedWhereTheyAreGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def child():
    return 1

def main():
    long = "x" * 3000
    return [attempt(fn).error.kind for fn in [
        bind(workflow(child, id = long)), bind(workflow(child, queue = long)), bind(activity("add").options(queue = long), 1, 2),
    ]]
`)
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `["BadArguments","BadArguments","BadArguments"]`)
		for _, o := range []DispatchOptions{{ID: strings.Repeat("x", 1001)}, {Queue: strings.Repeat("q", 1001)}} {
			if _, err := e.Dispatch(t.Context(), "test", Input{}, o); err == nil || !strings.Contains(err.Error(), "1001 bytes") {
				t.Errorf("error %v", err)
			}
		}
		stop()
		w.check()
	})
}
