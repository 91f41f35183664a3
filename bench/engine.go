// What a peer has to do, and the stores that it does it on.

package main

import (
	"context"
	"errors"
	"sync/atomic"
)

// place is where an engine keeps its state.
type place struct {
	Kind string // "sqlite full", "sqlite normal", "postgres"
	Dir  string // for files
	URL  string // of PostgreSQL: postgres://user@host:port/database
}

func (p place) synchronous() string {
	if p.Kind == "sqlite normal" {
		return "NORMAL"
	}
	return "FULL"
}

// await waits for the end of an execution.
type await func(ctx context.Context) error

// engine is a peer, with its client and, unless it is a client only, its worker in this process.
type engine interface {
	// open makes the store when it is not there, and begins to work, also on what a process before has left.
	open(ctx context.Context, at place, role role) error
	// sequence begins an execution of n steps, one after the other, that pass a payload on.
	sequence(ctx context.Context, id string, n int, payload string) (await, error)
	// fan begins an execution of n steps side by side.
	fan(ctx context.Context, id string, n int) (await, error)
	// hold begins an execution that waits for a signal.
	hold(ctx context.Context, id string) error
	close()
}

// role is what a process does.
type role string

const (
	asBoth   role = "both"
	asClient role = "client" // begins executions, and works on none
	asWorker role = "worker"
)

// peer is an engine and what it can be run on.
type peer struct {
	name, version string
	stores        []string
	settings      string // for the notes
	shared        bool   // several worker processes on PostgreSQL
	make          func() engine
}

var peers = []peer{senpukiPeer, senpukiPurePeer, dbosPeer, goWorkflowsPeer, durableTaskPeer, temporalPeer}

var (
	calls   atomic.Int64 // of the step, in this process
	stallAt atomic.Int64 // the step of this number tells and never ends; 0: none
	stalled = make(chan struct{}, 1)
	errLeft = errors.New("the process was told to end")
)

// step is the activity of all: it returns its payload.
func step(ctx context.Context, i int, payload string) (string, error) {
	calls.Add(1)
	if at := stallAt.Load(); at != 0 && int64(i)+1 == at {
		select {
		case stalled <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return "", errLeft
	}
	return payload, nil
}
