// The stock activity shell.run.

package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"time"
)

const (
	// maxOutput bounds what is kept of each of a command's output streams.
	maxOutput = 64 << 20
	// tailSize is how much of each stream a failure carries.
	tailSize = 4 << 10
	// waitDelay is how long after the end of a command, or its killing, its pipes may stay open.
	waitDelay = 2 * time.Second
)

// ShellResult is what shell.run returns. Output that is not UTF-8 has its
// invalid bytes replaced.
type ShellResult struct {
	ExitCode int    `json:"exit_code"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
}

// RegisterShell registers shell.run(command, stdin="", env={}, dir="", check=True). A
// command is text for the system's shell or a list of words run without one. It fails with kind
// ExitError when check is set and the exit status is not zero, NotFound when
// there is no such program or directory, OutputTooLarge when it writes more than 64 MiB to a stream. When the attempt ends
// early, or writes too much, the command and all its children are killed.
func RegisterShell(r *Registry) error {
	return registerAll(r, registration{"shell.run", runShell, Options{
		Params: []string{"command", "stdin", "env", "dir", "check"},
		Doc:    "Run a command: text for the shell, or a list of words without one.",
	}})
}

// shellCommand is text or a list of words.
type shellCommand struct {
	text  string
	words []string
}

// UnmarshalJSON reads a string or an array of strings.
func (c *shellCommand) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &c.text) == nil && !isNull(raw) {
		if strings.TrimSpace(c.text) == "" {
			return errors.New("the command is empty")
		}
		return nil
	}
	if json.Unmarshal(raw, &c.words) != nil || isNull(raw) {
		return errors.New("a command is text or a list of words")
	}
	if len(c.words) == 0 || c.words[0] == "" {
		return errors.New("the command is empty")
	}
	return nil
}

var shellCommandType = reflect.TypeFor[shellCommand]()

func runShell(ctx context.Context, command shellCommand, stdin *string, env *map[string]string, dir *string, check *bool) (ShellResult, error) {
	words := command.words
	if words == nil {
		words = shellWords(command.text)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	if stdin != nil {
		cmd.Stdin = strings.NewReader(*stdin)
	}
	if dir != nil && *dir != "" {
		// Started in a directory that is not there, the program would be blamed.
		if _, err := os.Stat(*dir); err != nil {
			return ShellResult{}, fileError(err)
		}
		cmd.Dir = *dir
	}
	if env != nil {
		var err error
		if cmd.Env, err = environment("shell.run", *env); err != nil {
			return ShellResult{}, err
		}
	}
	result, exit, err := runCommand(ctx, cmd)
	if err != nil {
		return ShellResult{}, err
	}
	if result.ExitCode != 0 && (check == nil || *check) {
		return ShellResult{}, exitError(result, exit)
	}
	return result, nil
}

// environment is this process's environment with more.
func environment(what string, more map[string]string) ([]string, error) {
	env := os.Environ()
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return nil, badArguments("%s: env has the name %q", what, name)
		}
		env = append(env, name+"="+more[name])
	}
	return env, nil
}

// runCommand runs a command to its end, or until ctx ends: then it is killed with all its children.
func runCommand(ctx context.Context, cmd *exec.Cmd) (ShellResult, *exec.ExitError, error) {
	return runLimited(ctx, cmd, maxOutput)
}

// runLimited is runCommand of a command that is killed, too, when it has written more than most bytes to a stream: it may never end.
func runLimited(ctx context.Context, cmd *exec.Cmd, most int) (ShellResult, *exec.ExitError, error) {
	tooMuch := func() { _ = killGroup(cmd) }
	stdout, stderr := &limited{most: most, tooMuch: tooMuch}, &limited{most: most, tooMuch: tooMuch}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = waitDelay
	ownGroup(cmd)
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// The command may have ended before it could be killed and left children in its group.
		_ = killGroup(cmd)
	}
	result := ShellResult{Stdout: stdout.String(), Stderr: stderr.String()}
	if cmd.ProcessState != nil {
		result.ExitCode = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ShellResult{}, nil, fmt.Errorf("the command was killed: %w", context.Cause(ctx))
	case stdout.over || stderr.over:
		return ShellResult{}, nil, Fail("OutputTooLarge", fmt.Sprintf("the command wrote more than %d MiB", maxOutput>>20), NotRetryable())
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		// A background process that keeps the pipes open is not waited for.
	case errors.As(err, &exit):
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return ShellResult{}, nil, Fail(KindNotFound, err.Error(), NotRetryable())
	default:
		return ShellResult{}, nil, err
	}
	return result, exit, nil
}

// exitError carries the ends of the output; its message has the last line of stderr.
func exitError(r ShellResult, exit *exec.ExitError) error {
	message := fmt.Sprintf("exit status %d", r.ExitCode)
	if r.ExitCode < 0 && exit != nil {
		message = exit.Error()
	}
	trimmed := strings.TrimSpace(r.Stderr)
	if line := trimmed[strings.LastIndexByte(trimmed, '\n')+1:]; line != "" {
		message += ": " + line
	}
	return Fail("ExitError", message, Data(map[string]any{
		"exit_code": r.ExitCode, "stdout": tail(r.Stdout), "stderr": tail(r.Stderr),
	}))
}

// tail is the end of a text, beginning at a whole character.
func tail(s string) string {
	if len(s) <= tailSize {
		return s
	}
	return strings.ToValidUTF8(s[len(s)-tailSize:], "")
}

// limited keeps the first most bytes that are written to it. The buffer is not embedded: its ReadFrom, which io.Copy prefers, knows of no limit.
type limited struct {
	kept bytes.Buffer
	most int
	over bool

	tooMuch func() // called when more is written; nil: nobody
}

func (l *limited) Write(p []byte) (int, error) {
	room := l.most - l.kept.Len()
	if len(p) <= room {
		return l.kept.Write(p)
	}
	if !l.over && l.tooMuch != nil {
		l.tooMuch()
	}
	l.over = true
	l.kept.Write(p[:room])
	return len(p), nil
}

func (l *limited) String() string { return l.kept.String() }
