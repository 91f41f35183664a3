//go:build unix

// Process groups on Unix, so that a command dies with its children.

package activities

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

func shellWords(text string) []string { return []string{"/bin/sh", "-c", text} }

func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
}

func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
