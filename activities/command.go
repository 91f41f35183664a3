// Activities that are commands: programs in any language.

package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Command is a program that is an activity. It reads its arguments from
// standard input, one JSON document {"args": [...], "kwargs": {...}}, and
// writes its result to standard output as one JSON document; nothing is null.
//
// It fails by an exit status other than zero. The last line of its standard
// error, or else of its standard output, may say more, as a JSON object with a kind and any of
// message, data (an object) and retryable (true unless it says false). Without one the failure's kind is ExitError.
//
// The environment has SENPUKI_ACTIVITY, SENPUKI_EXECUTION, SENPUKI_RUN, SENPUKI_STEP,
// SENPUKI_ATTEMPT and SENPUKI_IDEMPOTENCY_KEY. When the attempt ends early the program and all its children are killed.
type Command struct {
	Words []string          // the program and its arguments, without a shell
	Dir   string            // to run in; "" is that of the process
	Env   map[string]string // added to the environment of the process
}

// Validate says what is wrong with the command.
func (c Command) Validate() error {
	if len(c.Words) == 0 || strings.TrimSpace(c.Words[0]) == "" {
		return errors.New(`the command is empty; write command = ["./program", "argument"]`)
	}
	for name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env has the name %q", name)
		}
	}
	return nil
}

// RegisterCommand registers a program as an activity that takes any arguments.
func (r *Registry) RegisterCommand(name string, c Command, o Options) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("activity %q: %w", name, err)
	}
	return r.RegisterOpen(name, func(ctx context.Context, call Call) (any, error) {
		out, err := c.run(ctx, call.Args, call.Kwargs)
		return json.RawMessage(out), err
	}, o)
}

// run carries out one attempt.
func (c Command) run(ctx context.Context, args, kwargs []byte) ([]byte, error) {
	if len(kwargs) == 0 || isNull(kwargs) {
		kwargs = []byte("{}")
	}
	input, err := marshal(map[string]json.RawMessage{"args": args, "kwargs": kwargs})
	if err != nil {
		return nil, badArguments("the arguments are not JSON: %v", err)
	}
	cmd := exec.CommandContext(ctx, c.Words[0], c.Words[1:]...)
	cmd.Stdin = bytes.NewReader(append(input, '\n'))
	if c.Dir != "" {
		if _, err := os.Stat(c.Dir); err != nil { // else the program would be blamed
			return nil, fileError(err)
		}
		cmd.Dir = c.Dir
	}
	if cmd.Env, err = environment(c.Words[0], c.Env); err != nil {
		return nil, err
	}
	info := Info(ctx)
	cmd.Env = append(cmd.Env,
		"SENPUKI_ACTIVITY="+info.Activity, "SENPUKI_EXECUTION="+info.Execution, "SENPUKI_RUN="+strconv.Itoa(info.Run),
		"SENPUKI_STEP="+info.Step, "SENPUKI_ATTEMPT="+strconv.Itoa(info.Attempt), "SENPUKI_IDEMPOTENCY_KEY="+info.IdempotencyKey)
	result, exit, err := runCommand(ctx, cmd)
	switch {
	case err != nil:
		return nil, err
	case result.ExitCode != 0:
		if f := declared(result.Stderr); f != nil {
			return nil, f
		}
		if f := declared(result.Stdout); f != nil {
			return nil, f
		}
		return nil, exitError(result, exit)
	}
	out := []byte(strings.TrimSpace(result.Stdout))
	if len(out) == 0 {
		return []byte("null"), nil
	}
	if !json.Valid(out) {
		return nil, Fail(KindPayloadError, fmt.Sprintf("%s wrote something to standard output that is not one JSON document", c.Words[0]),
			NotRetryable(), Data(map[string]any{"stdout": tail(result.Stdout), "stderr": tail(result.Stderr)}))
	}
	return out, nil
}

// declared is the failure that the last line of an output says, nil when it says none.
func declared(output string) error {
	output = strings.TrimSpace(output)
	line := output[strings.LastIndexByte(output, '\n')+1:]
	var said struct {
		Kind      string         `json:"kind"`
		Message   string         `json:"message"`
		Data      map[string]any `json:"data"`
		Retryable *bool          `json:"retryable"`
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber() // large numbers stay what they are
	if !strings.HasPrefix(line, "{") || d.Decode(&said) != nil || said.Kind == "" {
		return nil
	}
	var opts []FailOption
	if said.Data != nil {
		opts = append(opts, Data(said.Data))
	}
	if said.Retryable != nil && !*said.Retryable {
		opts = append(opts, NotRetryable())
	}
	return Fail(said.Kind, said.Message, opts...)
}
