// Input of an execution: --input and --arg.

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// maxInput is the engine's default limit for one value.
const maxInput = 1 << 20

// readInput makes the input's JSON of the flags: nil when there are none.
func (a *app) readInput(input string, given bool, args []string) (raw []byte, err error) {
	defer func() {
		if err == nil && len(raw) > maxInput {
			err = usage("the input has %d bytes, the limit for one value is %d; pass the path of a file instead", len(raw), maxInput)
		}
	}()
	if given {
		if raw, err = a.inputText("--input", input); err != nil {
			return nil, err
		}
		if err := checkJSON(raw); err != nil {
			return nil, usage("--input is not JSON: %w", err)
		}
	}
	if len(args) == 0 {
		return raw, nil
	}
	return mergeArgs(raw, args)
}

// inputText is the text that --input, or what else it is called, names: itself, @file, or - for standard input.
func (a *app) inputText(what, input string) (raw []byte, err error) {
	switch {
	case input == "-":
		if raw, err = io.ReadAll(a.in); err != nil {
			return nil, fmt.Errorf("read %s from standard input: %w", what, err)
		}
	case strings.HasPrefix(input, "@"):
		if raw, err = os.ReadFile(input[1:]); err != nil {
			return nil, usage("%s: %w", what, err)
		}
	default:
		return []byte(input), nil
	}
	return bytes.TrimPrefix(raw, byteOrderMark), nil
}

// byteOrderMark is what some editors of Windows begin a text with.
var byteOrderMark = []byte("\ufeff")

// checkJSON says where text stops being one JSON value.
func checkJSON(raw []byte) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return errors.New("it is empty")
	}
	var v json.RawMessage
	err := json.Unmarshal(raw, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at := min(int(syntax.Offset), len(raw))
		line := 1 + bytes.Count(raw[:at], []byte("\n"))
		col := at - bytes.LastIndexByte(raw[:at], '\n') - 1
		return fmt.Errorf("line %d, column %d: %w (text needs quotes: '\"text\"')", line, max(col, 1), err)
	}
	return err
}

// mergeArgs puts --arg k=v over the --input object, which keeps the order of its keys.
func mergeArgs(raw []byte, args []string) ([]byte, error) {
	type field struct {
		name  string
		value json.RawMessage
	}
	var fields []field
	index := map[string]int{}
	set := func(name string, value json.RawMessage) {
		if i, ok := index[name]; ok {
			fields[i].value = value
			return
		}
		index[name] = len(fields)
		fields = append(fields, field{name, value})
	}
	if raw != nil {
		dec := json.NewDecoder(bytes.NewReader(raw))
		if t, err := dec.Token(); err != nil || t != json.Delim('{') {
			return nil, usage("--arg needs --input to be a JSON object, or absent")
		}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			var value json.RawMessage
			if err := dec.Decode(&value); err != nil {
				return nil, err
			}
			set(name.(string), value) // an object's keys are strings
		}
	}
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, usage("--arg %s: write it as name=value", arg)
		}
		value := json.RawMessage(text)
		if !json.Valid(value) {
			quoted, err := marshal(text)
			if err != nil {
				return nil, err
			}
			value = quoted
		}
		set(name, value)
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := marshal(f.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(f.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal that leaves < > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// checkNames refuses names of queues and tags that nobody can have meant.
func checkNames(flag string, names ...string) error {
	for _, name := range names {
		if len(name) > 1000 { // the engine's bound
			return usage("%s: %.20q... has %d bytes, at most 1000 are allowed", flag, name, len(name))
		}
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError }) {
			return usage("%s: %q is no name; names have no blanks, several are separated by commas or given one by one", flag, name)
		}
	}
	return nil
}

// eachOnce are names in their order, each once.
func eachOnce(names []string) (list []string) {
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// emptyFlags are the flags of which nothing is a value, or that have words of their own about it.
var emptyFlags = []string{"allow", "arg", "child-arg", "input", "note", "reason"}

// boundFlags are those of which nobody can mean zero; inside, and in settings, it stands for the default.
var boundFlags = []string{"concurrency", stepsFlag}

// refuseEmpty refuses flags that were given and are empty, as a variable of the shell that is not set makes them, and bounds of nothing.
func refuseEmpty(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		empty := f.Value.String() == ""
		if list, ok := f.Value.(pflag.SliceValue); ok {
			empty = len(list.GetSlice()) == 0
		}
		switch {
		case err != nil:
		case empty && !slices.Contains(emptyFlags, f.Name):
			err = usage("--%s is empty", f.Name)
		case f.Value.String() == "0" && slices.Contains(boundFlags, f.Name):
			err = usage("--%s: 0 is not at least 1; leave it out for the default", f.Name)
		}
	})
	return err
}

// checkInput refuses input that a function of a script does not take; nil is none.
func checkInput(s script, prog *engine.Program, function string, input []byte) error {
	if function == "" {
		function = "main"
	}
	if input == nil {
		input = []byte("[]")
	}
	err := prog.Compiled.CheckInput(function, input)
	if err == nil {
		return nil
	}
	if missing, ok := errors.AsType[*starlark.NoFunctionError](err); ok {
		return usage("%w", typed(&starlark.NoFunctionError{File: s.shown(missing.File), Function: missing.Function, Have: missing.Have}))
	}
	return usage("%s: %w", s.shown(s.entry), typed(err))
}

// typed adds to the error of input that does not fit, or of a function that is not there, what to type.
func typed(err error) error {
	if missing, ok := errors.AsType[*starlark.NoFunctionError](err); ok && missing.Function == "main" && len(missing.Have) > 0 {
		return fmt.Errorf("%w; --fn names the one to run", err)
	}
	var e *starlark.InputError
	if !errors.As(err, &e) || len(e.Params) == 0 {
		return err
	}
	fields := make([]string, len(e.Params))
	for i, p := range e.Params {
		fields[i] = fmt.Sprintf("%q: ...", p)
	}
	hint := "--input '{" + strings.Join(fields, ", ") + "}'"
	if len(fields) == 1 {
		hint += ", or --input '[{...}]' to pass an object as its argument"
	}
	return fmt.Errorf("%w; write %s", err, hint)
}
