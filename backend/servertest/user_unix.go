// Servers that refuse to run as root run as somebody else.

//go:build unix

package servertest

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// somebody is a user without privileges, when we are root; else nil.
func somebody() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

// unprivileged makes a command run as that user.
func unprivileged(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: somebody(), Setpgid: true}
}

// own gives a directory to that user.
func own(dir string) error {
	c := somebody()
	switch {
	case c == nil && os.Getuid() == 0:
		return errors.New("there is no user postgres or nobody for the server to run as")
	case c == nil:
		return nil
	}
	return os.Chown(dir, int(c.Uid), int(c.Gid))
}
