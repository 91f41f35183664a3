package engine

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// What heartbeats tell is told by the session, wherever the attempt runs, and keeps it alive.
func TestProgressOfWhatRuns(t *testing.T) {
	t.Parallel()
	for _, queue := range []string{"default", "far"} {
		t.Run(queue, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				begun, goOn := make(chan struct{}), make(chan struct{})
				w.register("resize", func(ctx context.Context) (int, error) {
					close(begun)
					for i := range 5 {
						activities.Heartbeat(ctx, i+1)
						time.Sleep(time.Second)
					}
					activities.Heartbeat(ctx, strings.Repeat("x", 1000)) // too long to be shown
					<-goOn
					return 5, nil
				})
				e, stop := w.engine(Options{})
				far, stopFar := w.engine(Options{Queues: []string{"far"}})
				w.deploy(e, "def main():\n    return activity(\"resize\", queue = \""+queue+"\", heartbeat = \"2s\", retry = retry_policy(max_attempts = 1))()\n")
				id := w.dispatch(e, Input{}, DispatchOptions{})
				runs := e
				if queue == "far" {
					runs = far
				}
				progress := func() string {
					synctest.Wait()
					var info SessionInfo
					if err := json.Unmarshal(runs.worker.info(), &info); err != nil || len(info.Now) != 1 {
						t.Fatalf("%+v %v", info, err)
					}
					return string(info.Now[0].Progress)
				}
				<-begun
				time.Sleep(3500 * time.Millisecond)
				if got := progress(); got != "4" {
					t.Errorf("progress %q", got)
				}
				time.Sleep(2 * time.Second)
				if got := progress(); got != "" {
					t.Errorf("progress %q", got)
				}
				close(goOn)
				want(t, w.finish(e, id), "5")
				stopFar()
				stop()
				w.check()
			})
		})
	}
}

// An attempt knows when its time is up, wherever it runs.
func TestDeadlineOfAnAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("left", func(ctx context.Context) (float64, error) {
			if d := activities.Info(ctx).Deadline; !d.IsZero() {
				return time.Until(d).Seconds(), nil
			}
			return 0, nil
		})
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main():
    left = activity("left")
    return [left(), activity("left", timeout = "1m")(), activity("left", queue = "far", timeout = "1m")()]
`)
		_, stopFar := w.engine(Options{Queues: []string{"far"}})
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `[0,60,60]`)
		stop()
		stopFar()
		w.check()
	})
}
