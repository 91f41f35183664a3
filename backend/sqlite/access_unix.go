// What who runs this may do with files on Unix, and whether others have them open.

//go:build unix

package sqlite

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

func mayRead(path string) error { return access("read", path, unix.R_OK) }

func mayWrite(path string) error { return access("write", path, unix.W_OK) }

// access asks, and opens nothing: a process that closes a file loses its locks on it.
func access(op, path string, mode uint32) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS); err != nil {
		return &os.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

// probes are the files whose locks were asked for. They stay open, for the locks' sake: a program that looks has one.
var probes struct {
	mu    sync.Mutex
	files []*os.File
}

// heldElsewhere reports whether another process has a database open: then it has a lock on it, whose place is
// settled (https://www.sqlite.org/lockingv3.html).
func heldElsewhere(path string) bool {
	f, err := probe(path)
	if err != nil {
		return false
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: 1 << 30, Len: 512}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

func probe(path string) (*os.File, error) {
	now, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	probes.mu.Lock()
	defer probes.mu.Unlock()
	for _, f := range probes.files {
		if at, err := f.Stat(); err == nil && os.SameFile(at, now) {
			return f, nil
		}
	}
	f, err := os.Open(path)
	if err == nil {
		probes.files = append(probes.files, f)
	}
	return f, err
}
