// Exit statuses, and the errors that carry them.

package cli

import (
	"errors"
	"fmt"
)

// The exit statuses of every command.
const (
	exitOK          = 0
	exitFailed      = 1   // the execution failed, was cancelled, timed out or is stuck; or the command failed
	exitUsage       = 2   // wrong usage, or a script that is refused before it starts
	exitInterrupted = 130 // interrupted; what was running can be resumed
)

// exitError ends the program with a status. A nil err was told already.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is an error of the one who typed the command.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// spoken is what a person reads of an error: no password, and nothing that moves a cursor.
func spoken(err error) string { return legible(err.Error()) }

// status is the exit status that err asks for, and whether it is still to be told.
func status(err error) (code int, tell bool) {
	var e *exitError
	switch {
	case err == nil:
		return exitOK, false
	case errors.As(err, &e):
		return e.status, e.err != nil
	}
	return exitFailed, true
}
