package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// When a run began is what each part of its script knew: that of the run that it was copied from, and its own from where it goes
// on. Nobody says that a fork began before it was there.
func TestAForkBeginsWhenItDoes(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(o)
			w.deploy(e, `
echo = activity("echo")
def main():
    seen = [info.started_at.unix]
    echo("a")
    sleep("1m")
    echo("b")
    seen.append(info.started_at.unix)
    echo("c")
    seen.append(info.started_at.unix)
    return seen
`)
			began := []int64{time.Now().Unix()}
			id := w.dispatch(e, Input{}, DispatchOptions{})
			want(t, w.finish(e, id), fmt.Sprintf("[%d,%[1]d,%[1]d]", began[0]))
			for _, from := range []string{"3", "4"} {
				time.Sleep(5 * time.Minute)
				began = append(began, time.Now().Unix())
				var err error
				if id, err = e.Fork(t.Context(), id, RerunOptions{From: from}); err != nil {
					t.Fatal(err)
				}
				want(t, w.finish(e, id), fmt.Sprintf("[%d,%d,%d]", began[0], began[1], began[len(began)-1]))
				x, err := e.State(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if x.Started.Before(x.Created) || x.Started.Unix() != began[len(began)-1] {
					t.Errorf("created %v, started %v", x.Created, x.Started)
				}
				if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
					t.Errorf("replay: %+v, %v", v, err)
				}
			}
			stop()
			w.check()
		})
	}
}
