// Rates go on in time, also where workers are woken and look seldom by themselves.

package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// Who comes when others have used up a rate knows when it goes on.
func TestARateGoesOnForThoseWhoComeLater(t *testing.T) {
	t.Parallel()
	for _, hold := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o := Options{Notifier: &wire{}, Hold: hold}
			e, stop := w.engine(o)
			w.deploy(e, "def main():\n    activity(\"echo\", rate = \"1/3s\")(1)\n")
			stop()
			begun := time.Now()
			for i := range 4 {
				e, stop := w.engine(o)
				want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{Here: hold})), "null")
				if late := time.Since(begun) - time.Duration(i)*3*time.Second; late > 200*time.Millisecond {
					t.Errorf("hold %v: call %d ended %v late", hold, i, late)
				}
				stop()
			}
			w.check()
		})
	}
}

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
