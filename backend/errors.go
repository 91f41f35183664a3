package backend

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound: no such execution, program or workflow.
	ErrNotFound = errors.New("not found")
	// ErrClosed: the execution has ended.
	ErrClosed = errors.New("execution has ended")
	// ErrConflict: what was asked for does not fit what is there.
	ErrConflict = errors.New("conflict")
	// ErrFenced: the session was revoked; nothing it writes can land.
	ErrFenced = errors.New("session revoked")
	// ErrNotOwner: the session does not own the execution or its journal is not at that row.
	ErrNotOwner = errors.New("execution is not owned at this turn")
	// ErrNoProgram: a new execution refers to a program that is not stored.
	ErrNoProgram = errors.New("program is not stored")
	// ErrNewerSchema: the database was written by a newer release.
	ErrNewerSchema = errors.New("database has a newer schema")
	// ErrNotDatabase: the file or server is not a Senpuki database.
	ErrNotDatabase = errors.New("not a senpuki database")
	// ErrDamaged: what the file or server holds of the database cannot be read.
	ErrDamaged = errors.New("database is damaged")
	// ErrFull: the disk is full.
	ErrFull = errors.New("disk is full")
	// ErrRefused: the database answers, and will not do that for us: a privilege is missing, or a table is.
	ErrRefused = errors.New("the database refuses")
	// ErrTransient: the database cannot be reached or is busy; try again.
	ErrTransient = errors.New("database unavailable")
)

// Explain makes an error that is sentinel to programs and reads as the words alone, which say it to people.
func Explain(sentinel error, format string, args ...any) error {
	return &explained{sentinel, fmt.Sprintf(format, args...)}
}

type explained struct {
	sentinel error
	words    string
}

func (e *explained) Error() string { return e.words }
func (e *explained) Unwrap() error { return e.sentinel }

// TurnError says which turn of a batch kept it from landing.
type TurnError struct {
	Index int
	Err   error
}

func (e *TurnError) Error() string { return fmt.Sprintf("turn %d: %v", e.Index, e.Err) }
func (e *TurnError) Unwrap() error { return e.Err }
