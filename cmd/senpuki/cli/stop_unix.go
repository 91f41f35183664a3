//go:build unix

// Ctrl-Z under a live display.

package cli

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminalStops delivers what Ctrl-Z asks for, and stops the process, which is for when the display is out of the way: else
// it would go on over what the shell has written meanwhile.
type terminalStops chan os.Signal

// newTerminalStops delivers nothing unless the shell has begun this process itself: a system that stops a group does so
// only when there is somebody who can have it go on, and of what lies between us and the shell we know nothing.
func newTerminalStops() terminalStops {
	s := make(terminalStops, 1)
	if shellIsParent() && !signal.Ignored(syscall.SIGTSTP) {
		signal.Notify(s, syscall.SIGTSTP)
	}
	return s
}

// Run stops the process until the shell has it go on. SIGTSTP would do nothing: package signal does not give back what
// it has once delivered.
func (terminalStops) Run() error {
	if !shellIsParent() {
		return nil
	}
	goesOn := make(chan os.Signal, 1)
	signal.Notify(goesOn, syscall.SIGCONT)
	defer signal.Stop(goesOn)
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		return err
	}
	<-goesOn
	return nil
}

func (terminalStops) SetStdin(io.Reader)  {}
func (terminalStops) SetStdout(io.Writer) {}
func (terminalStops) SetStderr(io.Writer) {}

// shellIsParent tells whether the parent has a terminal's jobs in its care: it is of our session, and of another group.
func shellIsParent() bool {
	parent := os.Getppid()
	theirs, err := unix.Getsid(parent)
	if err != nil {
		return false
	}
	ours, err := unix.Getsid(0)
	if err != nil || ours != theirs {
		return false
	}
	group, err := unix.Getpgid(parent)
	return err == nil && group != unix.Getpgrp()
}
