package sqlite_test

import (
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A store keeps its hold of the file when another of the process opens and closes it, and so nobody else takes the log away.
func TestLocksOutliveOtherStores(t *testing.T) {
	t.Parallel()
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path) // before there are locks, and closed when there are none
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	s := open(t, path)
	if err := opensSession(t, s); err != nil {
		t.Fatal(err)
	}
	held := func() bool {
		all := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: 1 << 30, Len: 512} // https://www.sqlite.org/lockingv3.html
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &all); err != nil {
			t.Fatal(err)
		}
		return all.Type != unix.F_UNLCK
	}
	if !held() {
		t.Fatal("a store that is open has no lock")
	}
	other := open(t, path)
	if !held() {
		t.Error("another store of the process was opened, and the lock is gone")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if !held() {
		t.Error("another store of the process was closed, and the lock is gone")
	}
}
