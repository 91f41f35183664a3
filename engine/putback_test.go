package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A signal that one wait gives up goes to the next, whose step then waits no more, whatever arrives later.
func TestASignalThatIsPutBack(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}, {ReleaseAfter: time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(o)
			w.deploy(e, `
def main():
    f = signal("go").start()
    g = spawn(wait_signal, "go")
    sleep("10s")
    f.cancel()
    first = g.result()
    h = spawn(wait_signal, "go")
    return [first, h.result(), wait_signal("end")]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			for n := 1; n <= 2; n++ {
				time.Sleep(time.Second)
				if err := e.Signal(t.Context(), id, "go", fmt.Appendf(nil, "%d", n)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Second)
			}
			h, err := e.History(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range h.Steps {
				got = append(got, s.Step+" "+s.State+" "+string(s.Value))
			}
			if want := "[1 done 1 3 done null 2.1 cancelled  4.1 done 2 5 waiting ]"; fmt.Sprint(got) != want {
				t.Errorf("%v, want %s", got, want)
			}
			if err := e.Signal(t.Context(), id, "end", []byte("3")); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), "[1,2,3]")
			stop()
			w.check()
		})
	}
}
