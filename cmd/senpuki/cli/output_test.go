package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// stuckPipe takes some writes and then none.
type stuckPipe struct {
	room int
	err  error
}

func (p *stuckPipe) Write(b []byte) (int, error) {
	if p.room--; p.room < 0 {
		return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: p.err}
	}
	return len(b), nil
}

func TestOutputFails(t *testing.T) {
	t.Parallel()
	told := errors.New("something else")
	for _, k := range []struct {
		write, err error
		code       int
		text       string
	}{
		{syscall.ENOSPC, nil, exitFailed, "standard output cannot be written: no space left on device"},
		{syscall.ENOSPC, told, exitFailed, "something else\nstandard output cannot be written: no space left on device"},
		{syscall.ENOSPC, usage("%w", told), exitUsage, "something else\nstandard output cannot be written: no space left on device"},
		{syscall.ENOSPC, &exitError{status: exitUsage}, exitUsage, "standard output cannot be written: no space left on device"},
		{syscall.EPIPE, nil, exitFailed, ""},
		{syscall.EPIPE, told, exitFailed, "something else"},
		{syscall.EPIPE, &exitError{status: exitInterrupted}, exitInterrupted, ""},
	} {
		o := &output{to: &stuckPipe{1, k.write}}
		fmt.Fprintln(o, "one")
		if o.failed() != nil {
			t.Fatal("the first write has failed")
		}
		fmt.Fprintln(o, "two")
		if _, err := fmt.Fprintln(o, "three"); !errors.Is(err, k.write) {
			t.Errorf("a later write came to %v", err)
		}
		err := o.ended(k.err)
		code, tell := status(err)
		if code != k.code || tell != (k.text != "") || tell && err.Error() != k.text {
			t.Errorf("%v and %v: status %d, %v", k.write, k.err, code, err)
		}
	}
}

func TestOutputClosed(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	if code := Run(context.Background(), nil, []string{"version"}, strings.NewReader(""), &stuckPipe{0, syscall.EPIPE}, &told); code != exitFailed || told.Len() > 0 {
		t.Errorf("status %d, %q", code, told.String())
	}
}
