// Package memory is the reference model of a backend: the same records and
// verbs as a database, in maps under one lock, as plain as can be. Nothing
// survives the process.
package memory

import (
	"context"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Store is a store in memory. Its zero value is not ready; see New.
type Store struct {
	clock       func() time.Time
	mu          sync.Mutex // guards all below
	programs    map[string]backend.Program
	deployments map[string][]backend.Deployment // oldest first
	executions  map[string]*execution
	runs        map[backend.RunKey]*run
	sessions    map[backend.SessionID]*backend.Session
	tasks       map[int64]*backend.Task
	begun       map[string][]begun // by activity: when tasks with a rate began
	memos       map[string]*memo
	dead        map[int64]backend.DeadLetter
	lastTask    int64
	lastLetter  int64
	lastRun     backend.RunKey
	lastSession backend.SessionID
	lastMessage int64
	woken       bool     // a message has made an execution due that nobody owns; for Commit
	told        []string // executions that were told of an end; for Commit
}

// begun is when a task with a rate began, and how long it counts for that.
type begun struct {
	at, until time.Time
}

// execution is an execution with its inbox.
type execution struct {
	backend.Execution
	inbox    []backend.Message
	watchers []watcher
}

// run is one life of an execution.
type run struct {
	execution string
	number    int
	created   time.Time
	rows      []backend.Row
	logs      []backend.LogLine
}

// New returns an empty store.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store with a clock of its own, as a database server has.
func NewAt(clock func() time.Time) *Store {
	return &Store{
		clock:       clock,
		programs:    make(map[string]backend.Program),
		deployments: make(map[string][]backend.Deployment),
		executions:  make(map[string]*execution),
		runs:        make(map[backend.RunKey]*run),
		sessions:    make(map[backend.SessionID]*backend.Session),
		tasks:       make(map[int64]*backend.Task),
		begun:       make(map[string][]begun),
		memos:       make(map[string]*memo),
		dead:        make(map[int64]backend.DeadLetter),
	}
}

// now is the time of one transaction.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Now is the store's time.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

// Close does nothing.
func (s *Store) Close() error { return nil }

// Deploy stores programs and deployments.
func (s *Store) Deploy(_ context.Context, programs []backend.Program, deployments []backend.Deployment) ([]backend.Deployment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	known := func(digest string) bool {
		if _, ok := s.programs[digest]; ok {
			return true
		}
		for _, p := range programs {
			if p.Digest == digest {
				return true
			}
		}
		return false
	}
	for _, d := range deployments {
		if !known(d.Digest) {
			return nil, backend.ErrNoProgram
		}
	}
	for _, p := range programs {
		created := at
		if known, ok := s.programs[p.Digest]; ok {
			created = known.Created
		}
		s.programs[p.Digest] = backend.Program{Digest: p.Digest, Sources: clone(p.Sources), Created: created}
	}
	stored := make([]backend.Deployment, 0, len(deployments))
	for _, d := range deployments {
		all := s.deployments[d.Workflow]
		if n := len(all); n > 0 && all[n-1].Digest == d.Digest {
			stored = append(stored, all[n-1])
			continue
		}
		d.Version, d.At = len(all)+1, at
		s.deployments[d.Workflow] = append(all, d)
		stored = append(stored, d)
	}
	return stored, nil
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
