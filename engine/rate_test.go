// Rates go on in time, also where workers are woken and look seldom by themselves.

package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

func TestARateGoesOnInTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ first, second []string }{
		"one worker":                {[]string{"default", "far"}, nil},
		"workers that share a rate": {[]string{"default"}, []string{"far"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.register("paced", func() error { return nil }, activities.Options{Rate: "2/7s"})
				hints := &wire{}
				e, stop := w.engine(Options{Queues: c.first, Notifier: hints})
				stopSecond := func() {}
				if c.second != nil {
					_, stopSecond = w.engine(Options{Queues: c.second, Notifier: hints})
				}
				w.deploy(e, `
paced = activity("paced")
def main():
    begun = time.now()
    parallel([paced] * 2)
    parallel([paced.options(queue = "far")] * 5)
    return (time.now() - begun).seconds < 21.5
`)
				time.Sleep(time.Minute) // nobody has anything to do
				want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), "true")
				stop()
				stopSecond()
				w.check()
			})
		})
	}
}
