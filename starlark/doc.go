// Package starlark compiles, runs, suspends and replays workflow scripts.
//
// There are few types. [Sources] is a load closure: the text of every file that
// a script loads. A [Program] is a compiled closure whose modules were run once, frozen, and
// are shared by all executions of it. [Program.Run] runs one function of it to its end
// on the caller's goroutine, asking a [Host] for everything that is not computation: a
// [Command] to issue, the next [Delivery] to wait for, the time. Values cross as JSON bytes.
//
// # Branches and the baton
//
// Concurrent parts of a script are branches: interpreter threads on goroutines
// of their own that pass a baton, so that one runs at a time, first come first served.
// When no branch can run the script is at rest, and whoever holds the baton
// calls [Host.Wait]. Suspending is therefore nothing but a Wait that does not
// return, and evicting a Wait that returns [ErrEvicted]: every branch unwinds,
// no script code runs any more, nothing is asked of the host, and Run returns that error. A scheduler goroutine that
// hands the baton out was rejected: a sequential script would change goroutines at every step.
//
// # Scopes
//
// What a branch starts is in its scope until it has settled: it is awaited when the branch
// returns, cancelled and awaited when it raises. A cancellation is raised at the branch's next
// wait; while it is shielded, or awaits what it has cancelled itself, the cancellation stays pending.
// An iterator that waits (as_completed) cannot fail: it halts the thread of its branch, and the next
// call or wait of the branch raises the error, unless the script is being unwound.
// Conditions (wait_until) are looked at when the script is at rest, before it waits, so that
// they see what all branches have made of a delivery.
//
// # Names of steps
//
// A step is named by position: the path of its branch and its ordinal in it
// ("3", "2.1.4"). One branch more here renumbers nothing there. A command that
// the script issues, a branch that it spawns and a group of parallel tasks
// each use one ordinal of the branch they are in; task i of group g is g.i.
//
// # Signals, children, runs
//
// Signals are kept per name until the script consumes them; who waits first
// gets the first, and what a future got and nobody read goes back into the
// line, or to who waits in it. A child is a step whose outcome is another execution's end; what
// becomes of it at the end of its scope is its on_parent_close. continue_as_new ends Run
// with a [Continuation], which no attempt can catch. What a script shows of itself is
// handed to the host before each Wait, when it has changed.
//
// # Calls that cannot succeed
//
// Once a file was loaded, the names at its top stand for values that never change. [Program.Mistakes] are the
// calls of functions among them, and of built-ins, whose arguments do not fit. A built-in's parameters are in a table
// (builtins_signatures.go) that a test holds against what it does. Of files that cannot be run [Judge] tells what their text does.
//
// # Values as text
//
// str, repr, print and messages write values within bounds (text.go). The operator % and .format are the library's, which offers no
// hook for them: of a value nested n deep they take time in the square of n, and while one runs the script cannot be stopped.
//
// # Replay
//
// The package does not know whether it replays: a host answers a command from
// a journal or for the first time, and the script cannot tell. What a script can see is its input, the
// deliveries in their order, and Host.Now; a [CopyHost] also says what it knows of its run and whose random numbers it draws. Package
// hosttest has a host for tests that keeps a journal and can replay it at every wait.
package starlark
