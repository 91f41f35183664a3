// Command bench runs the same workloads on Senpuki and on other engines for
// durable workflows, one after the other on this machine, and prints medians and
// ratios as tables. It is a module of its own: the peers are nobody else's dependencies.
//
//	go run . -out ../docs/benchmarks.md
//	go run . -engines 'senpuki|dbos' -only 'W[12]' -size 0.1 -repeat 1
//
// Every cell is a process of its own (this program again, with -child), so that
// memory, caches and goroutines of one engine are no other's. A cell that takes
// longer than -limit, or whose engine ran another number of steps than it was
// asked for, is told instead of a figure.
//
// # What is the same for all
//
// A step is a function of this process that returns its argument. SQLite is in WAL
// mode, with synchronous=FULL or, apart, NORMAL; PostgreSQL has fsync and
// synchronous_commit on, and is started for the run on this machine. Engines are set up as
// their documentation advises for speed; each file says how, and the table's notes too.
//
// # What is not
//
// DBOS records the outcome of a step that runs in the workflow's own goroutine; so
// does Senpuki, in batches. go-workflows, durabletask-go and Temporal put every activity
// into a queue of the store, from which workers of any machine take it: that is two or more commits a
// step, paid for something that is asked for here by nobody. Temporal's server, its client
// and its worker run in one process and speak gRPC over loopback.
package main
