// Package cli is the senpuki command line, for the binary of that name and for
// binaries of your own: [Main] with a registry gives every command with your
// Go activities beside the stock ones.
//
// It is wiring: the one place that names every concrete package, so that
// nothing else must. There is one file per command. What they share: an app
// (streams, registry, global flags) in main.go; databases by URL in store.go;
// scripts by path in script.go; what live workers offer in offers.go; running an execution here until it ends, is
// stuck or is interrupted in drive.go; how things look in format.go, table.go
// and progress*.go.
//
// Results go to standard output, everything else to standard error. output.go
// remembers what could not be written, so that nobody looks at the error of each
// line. Exit statuses are those of exit.go.
package cli
