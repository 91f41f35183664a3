// Standard output: an answer that cannot be written is a failure of the command.

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"syscall"
)

// output is where results go. It remembers the first error of a write, so that those who print need not look at each:
// Run ends with it, and what prints for long asks failed.
type output struct {
	to io.Writer

	mu  sync.Mutex // guards err
	err error
}

// outputError is a result that could not be written.
type outputError struct{ err error }

func (e *outputError) Error() string {
	err := e.err
	if at, ok := errors.AsType[*fs.PathError](err); ok { // the name is always /dev/stdout
		err = at.Err
	}
	return fmt.Sprintf("standard output cannot be written: %v", err)
}

func (e *outputError) Unwrap() error { return e.err }

// Write writes to what is below, but not after an error: what follows a gap is worth nothing.
func (o *output) Write(p []byte) (int, error) {
	if err := o.failed(); err != nil {
		return 0, err
	}
	n, err := o.to.Write(p)
	if err != nil {
		err = &outputError{err}
		o.mu.Lock()
		o.err = err
		o.mu.Unlock()
	}
	return n, err
}

// failed is the first error of a write.
func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// ended is what a command comes to that ended with err: it has also failed when its output was not written. A reader
// that has seen enough, as head has, is no reason to say anything.
func (o *output) ended(err error) error {
	bad := o.failed()
	switch {
	case bad == nil:
		return err
	case errors.Is(bad, syscall.EPIPE):
		if err == nil || errors.As(err, new(*outputError)) {
			return &exitError{status: exitFailed}
		}
		return err
	case err == nil:
		return bad
	case errors.As(err, new(*outputError)):
		return err
	}
	code, tell := status(err)
	if !tell { // it was told already, and this was not
		return &exitError{code, bad}
	}
	return &exitError{code, errors.Join(err, bad)}
}
