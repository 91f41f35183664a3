// Sagas that are cancelled while a step runs which succeeds all the same.

package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

const undoneScript = `
load("@std/saga.star", "saga")
deaf = activity("deaf")
slow = activity("nap")

def kid():
    attempt(sleep, "1h") # takes being cancelled for the end of a pause
    return "kid"

def main(how):
    done = []
    def undo(name):
        done.append(name)
    def body(s):
        s.step(deaf, 1000, undo = bind(undo, "first"))
        if how == "step":
            s.step(deaf, 20000, undo = bind(undo, "second"))
        elif how == "bound":
            s.step(bind(deaf, 20000), undo = bind(undo, "second"))
        elif how == "child":
            s.step(workflow(kid), undo = bind(undo, "second"))
        elif how == "heeds":
            s.step(slow, 20000, undo = bind(undo, "second"))
        else:
            s.parallel([s.task(deaf, 20000, undo = bind(undo, "second")), s.task(slow, 20000, undo = bind(undo, "third"))])
    e = attempt(timeout, "15s", saga, body).error
    return [e.kind, done]
`

func TestASagaUndoesWhatSucceededThoughItWasCancelled(t *testing.T) {
	t.Parallel()
	for how, result := range map[string]string{
		"step":     `["Timeout",["second","first"]]`,
		"bound":    `["Timeout",["second","first"]]`,
		"child":    `["Timeout",["second","first"]]`,
		"heeds":    `["Timeout",["first"]]`,
		"parallel": `["Timeout",["second","first"]]`,
	} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.register("deaf", func(ms int) error { time.Sleep(time.Duration(ms) * time.Millisecond); return nil })
				want(t, w.run(Options{ReplayAlways: always}, undoneScript, Input{Args: []any{how}}, DispatchOptions{}), result)
				w.check()
			})
		}
	}
}
