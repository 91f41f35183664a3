package engine

import (
	"strings"
	"testing"
	"testing/synctest"
)

// What a script asks for at once may be more than any database takes: then it is stuck, says so, and nobody waits for it.
func TestATurnThatIsTooLargeIsStuck(t *testing.T) {
	t.Parallel()
	for what, script := range map[string]string{
		"steps":  "def main(n):\n    return len(activity(\"echo\").map([\"x\" * 100000 + str(i) for i in range(n)]))\n",
		"lines":  "def main(n):\n    for i in range(n):\n        print(\"x\" * 100000)\n    return n\n",
		"ahead":  "def main(n):\n    pure = activity(\"echo\", pure = True)\n    pure(1)\n    for i in range(n):\n        print(\"x\" * 100000)\n    pure(2)\n    return n\n",
		"orders": "def main(n):\n    for i in range(n):\n        send_signal(info.id, \"s\", \"x\" * 100000)\n    return n\n",
		"tries":  "def main(n):\n    sleep(\"1s\")\n    return len(activity(\"echo\", queue = \"far\").map([\"x\" * 100000 + str(i) for i in range(n)], limit = 100))\n",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{})
				_, stopFar := w.engine(Options{Queues: []string{"far"}})
				w.deploy(e, script)
				synctest.Wait()
				me := e.current()
				me.maxTurn = 6 << 20
				large, small := w.dispatch(e, Input{Args: []any{80}}, DispatchOptions{}), w.dispatch(e, Input{Args: []any{3}}, DispatchOptions{})
				want(t, w.finish(e, small), "3")
				synctest.Wait()
				x, err := e.State(t.Context(), large)
				if what == "orders" { // one at a time: each waits for its answer
					want(t, w.finish(e, large), "80")
				} else if err != nil || x.Stuck == nil || !strings.Contains(x.Stuck.Reason, "asks for 7 MB") && !strings.Contains(x.Stuck.Reason, "asks for 15 MB") {
					t.Errorf("%+v, %v", x.Stuck, err)
				}
				sameSession(t, e, me.session)
				stop()
				stopFar()
				w.check()
			})
		})
	}
}
