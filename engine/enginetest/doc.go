// Package enginetest runs workflows in Go tests: with doubles of activities, in virtual time, and
// with deaths of the worker.
//
//	func TestOrder(t *testing.T) {
//		env := enginetest.New(t, enginetest.Options{FS: os.DirFS("workflows"), Registry: registry()})
//		env.Mock("charge", func(order string, cents int) (string, error) { return "receipt-1", nil })
//		run := env.Start("order.star", engine.Input{Args: []any{"A1"}})
//		env.Advance(48 * time.Hour)
//		run.Signal("approve", true)
//		if got := enginetest.ResultAs[string](run); got != "receipt-1" { ... }
//	}
//
// There are few types. A [World] is a store in memory, a worker on it, and a clock; its methods
// return errors, and programs other than tests use it. An [Env] is a World in a test, which it fails. A [Run]
// is an execution in it. [Twice] and [CrashEverywhere] run a test several times, in worlds that are harder.
//
// # Virtual time
//
// A world lives in a bubble of package testing/synctest: its clock begins at midnight UTC
// 2000-01-01 and moves only while [Env.Advance], [Run.Wait], [Run.Result] or [Run.Failure] waits, and then
// at once to the next moment at which anything is due. Every other method lets the world come to rest
// without time passing. So a sleep of a year costs nothing, and "one second before the timeout" is a place one can stand at.
// A clock in the engine was rejected: it would have to know itself when everything is at rest,
// which the runtime knows better.
//
// # Activities
//
// What [Env.Mock] names is answered by the double, in virtual time: it may sleep. Activities of
// Options.Registry that have no double run as they are, in real time and outside the bubble (their connections and
// pools live there), while the virtual clock stands still.
//
// # Deaths
//
// A worker that dies is gone at once, and another takes over at once. An attempt that it was
// running is counted as a crash and begins again after its retry delay, as in production: activities run at
// least once, and tests with deaths must not expect more.
package enginetest
