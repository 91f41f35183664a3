// The turnstile: who writes next, among goroutines and among processes.

package sqlite

import (
	"context"
	"errors"
	"os"
)

// turnstile admits one writer at a time. Inside a process writers queue on a
// channel, which is served in order. Between processes there are two files:
// whoever holds next is the one to take current when its holder leaves, so a
// process that writes in a loop cannot overtake one that waits. SQLite's own
// lock is polled with growing pauses and is not fair.
type turnstile struct {
	gate          chan struct{} // holds a value while a writer of this process is inside
	next, current *os.File
}

func newTurnstile(path string) (*turnstile, error) {
	// To read is enough to lock: another user than the one whose command came first may have the right to write the database.
	next, err := os.OpenFile(path+"-next.lock", os.O_RDONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	current, err := os.OpenFile(path+"-current.lock", os.O_RDONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return &turnstile{gate: make(chan struct{}, 1), next: next, current: current}, nil
}

// enter waits for the writer's turn; leave ends it.
func (t *turnstile) enter(ctx context.Context) error {
	select {
	case t.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if ok, err := t.try(); ok || err != nil {
		if err != nil {
			<-t.gate
		}
		return err
	}
	// The system's call cannot be called off: a caller that gives up leaves
	// the lock to be taken and handed back.
	taken := make(chan error, 1)
	go func() { taken <- t.wait() }()
	select {
	case err := <-taken:
		if err != nil {
			<-t.gate
		}
		return err
	case <-ctx.Done():
		go func() {
			if <-taken == nil {
				t.leave()
			} else {
				<-t.gate
			}
		}()
		return ctx.Err()
	}
}

// tryEnter is enter for those who would rather go without than wait.
func (t *turnstile) tryEnter() (bool, error) {
	select {
	case t.gate <- struct{}{}:
	default:
		return false, nil
	}
	ok, err := t.try()
	if !ok || err != nil {
		<-t.gate
		return false, err
	}
	return true, nil
}

// try takes the locks when nobody else has them.
func (t *turnstile) try() (bool, error) {
	ok, err := lockFile(t.next, false)
	if !ok || err != nil {
		return false, err
	}
	ok, err = lockFile(t.current, false)
	return ok, errors.Join(err, unlockFile(t.next))
}

func (t *turnstile) wait() error {
	if _, err := lockFile(t.next, true); err != nil {
		return err
	}
	_, err := lockFile(t.current, true)
	return errors.Join(err, unlockFile(t.next))
}

func (t *turnstile) leave() {
	// An unlocked file is all that can come of it: closing frees it as well.
	_ = unlockFile(t.current)
	<-t.gate
}

// close waits for the last writer and closes the files.
func (t *turnstile) close() error {
	t.gate <- struct{}{}
	defer func() { <-t.gate }()
	return errors.Join(t.next.Close(), t.current.Close())
}
