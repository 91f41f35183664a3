//go:build !unix

// Ctrl-Z where there is no such thing.

package cli

import (
	"io"
	"os"
)

// terminalStops are nowhere but on Unix.
type terminalStops chan os.Signal

func newTerminalStops() terminalStops { return nil }

func (terminalStops) Run() error          { return nil }
func (terminalStops) SetStdin(io.Reader)  {}
func (terminalStops) SetStdout(io.Writer) {}
func (terminalStops) SetStderr(io.Writer) {}
