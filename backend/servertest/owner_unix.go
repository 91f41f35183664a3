//go:build unix

// Running as somebody else, out of reach of the terminal's signals.

package servertest

import (
	"os/exec"
	"syscall"
)

func (o owner) confine(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if o.uid >= 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
}
