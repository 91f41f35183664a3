// What who runs this may do with files on other systems than Unix.

//go:build !unix

package sqlite

import "os"

func mayRead(path string) error { return access(path, os.O_RDONLY) }

func mayWrite(path string) error { return access(path, os.O_WRONLY) }

// access tries it. Of directories it is not known.
func access(path string, flag int) error {
	if at, err := os.Stat(path); err == nil && at.IsDir() {
		return nil
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// heldElsewhere is not known: the log of a database that is open is beside it.
func heldElsewhere(string) bool { return false }
