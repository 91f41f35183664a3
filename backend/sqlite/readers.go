// The connections that read.

package sqlite

import (
	"context"
	"errors"
	"sync"
)

// maxReaders is how many reads may run at once.
const maxReaders = 4

// readers are the connections that read. The one that was used last is taken first: each reads the schema and prepares
// statements of its own, and most of the time one or two are enough.
type readers struct {
	free chan struct{} // one for each that is not in use
	mu   sync.Mutex
	idle []*conn // those of them that are open
}

func newReaders() *readers {
	r := &readers{free: make(chan struct{}, maxReaders)}
	for range maxReaders {
		r.free <- struct{}{}
	}
	return r
}

// connectReader opens a connection that cannot write.
func connectReader(path string) (*conn, error) {
	return connect(path, "query_only=1", "temp_store=memory")
}

// take waits for a connection; one that is nil is yet to be opened.
func (r *readers) take(ctx context.Context) (*conn, error) {
	select {
	case <-r.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.idle) == 0 {
		return nil, nil
	}
	c := r.idle[len(r.idle)-1]
	r.idle = r.idle[:len(r.idle)-1]
	return c, nil
}

// put gives back what take returned, or was opened in its place.
func (r *readers) put(c *conn) {
	if c != nil {
		r.mu.Lock()
		r.idle = append(r.idle, c)
		r.mu.Unlock()
	}
	r.free <- struct{}{}
}

func (r *readers) inUse() int { return maxReaders - len(r.free) }

// close waits for all reads and closes the connections. Who comes for one all the same, because the store was open when he looked, is
// given none, and sees then that it is closed.
func (r *readers) close() error {
	for range maxReaders {
		<-r.free
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, c := range r.idle {
		errs = append(errs, c.close())
	}
	r.idle = nil
	for range maxReaders {
		r.free <- struct{}{}
	}
	return errors.Join(errs...)
}
