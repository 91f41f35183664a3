// Running a test again in worlds that are harder.

package enginetest

import (
	"fmt"
	"testing"
)

// Twice runs a test in two worlds: plainly, and with every script run again from its first
// line whenever it waits, which finds scripts whose replay differs.
func Twice(t *testing.T, o Options, test func(t *testing.T, env *Env)) {
	t.Helper()
	for _, replay := range []bool{false, true} {
		name := "plain"
		if o.Replay = replay; replay {
			name = "replayed"
		}
		t.Run(name, func(t *testing.T) { test(t, New(t, o)) })
	}
}

// CrashEverywhere runs a test once for every commit that its worker makes, and lets the worker die
// there: before the commit, and just after it with the reply lost. The test must come to the same end
// whatever dies; only that activities run once is more than it may expect.
func CrashEverywhere(t *testing.T, o Options, test func(t *testing.T, env *Env)) {
	t.Helper()
	for _, landed := range []bool{false, true} {
		when := "before"
		if landed {
			when = "after"
		}
		for n := 1; ; n++ {
			died := true
			ok := t.Run(fmt.Sprintf("%s commit %d", when, n), func(t *testing.T) {
				env := New(t, o)
				env.CrashAt(n, landed)
				test(t, env)
				died = env.World().Deaths() > 0
			})
			if !ok || !died {
				break
			}
		}
	}
}
