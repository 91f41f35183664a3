// Decoding strictly: what is unknown or wrong is refused where it stands.

package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/senpuki/senpuki/activities"
)

// decode fills f from text; name is that of the file.
func decode(name string, text []byte, f *File) error {
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch err := d.Decode(f); {
	case err == nil:
	case errors.As(err, &unknown):
		var errs []error
		for i := range unknown.Errors {
			e := &unknown.Errors[i]
			line, _ := e.Position()
			errs = append(errs, fmt.Errorf("%s:%d: %s", name, line, unknownKey(e.Key())))
		}
		return errors.Join(errs...)
	case errors.As(err, &wrong):
		line, column := wrong.Position()
		key := ""
		if k := wrong.Key(); len(k) > 0 {
			key = strings.Join(k, ".") + ": "
		}
		return fmt.Errorf("%s:%d:%d: %s%s", name, line, column, key, strings.TrimPrefix(wrong.Error(), "toml: "))
	default:
		return fmt.Errorf("%s: %w", name, err)
	}
	lines := lines(text)
	var errs []error
	f.validate(func(key []string, err error) {
		at := name
		if line := lines[strings.Join(key, "\x00")]; line > 0 {
			at = fmt.Sprintf("%s:%d", name, line)
		}
		errs = append(errs, fmt.Errorf("%s: %s: %w", at, strings.Join(key, "."), err))
	})
	return errors.Join(errs...)
}

// validate tells of every mistake.
func (f *File) validate(wrong func(key []string, err error)) {
	for _, list := range []struct {
		key    string
		values []string
		noun   string
	}{{"queues", f.Worker.Queues, "a queue"}, {"tags", f.Worker.Tags, "a tag"}} {
		if slices.ContainsFunc(list.values, func(v string) bool { return strings.TrimSpace(v) == "" }) {
			wrong([]string{"worker", list.key}, fmt.Errorf("%s has no name", list.noun))
		}
	}
	if f.MaxSteps < 0 {
		wrong([]string{"max_steps"}, fmt.Errorf("%d is negative", f.MaxSteps))
	}
	if f.Worker.Concurrency < 0 {
		wrong([]string{"worker", "concurrency"}, fmt.Errorf("%d is negative", f.Worker.Concurrency))
	}
	for _, group := range f.Worker.Allow {
		oneOf(wrong, []string{"worker", "allow"}, group, activities.StockGroups()...)
	}
	oneOf(wrong, []string{"log", "format"}, f.Log.Format, "text", "json")
	oneOf(wrong, []string{"log", "level"}, f.Log.Level, "debug", "info", "warn", "error")
	duration(wrong, []string{"retention", "completed"}, f.Retention.Completed, true)
	duration(wrong, []string{"retention", "failed"}, f.Retention.Failed, true)
	for _, name := range sorted(f.Activities) {
		a, key := f.Activities[name], []string{"activities", name}
		command := activities.Command{Words: a.Command, Env: a.Env}
		if err := command.Validate(); err != nil {
			wrong(key, err)
		} else if err := activities.NewRegistry().RegisterCommand(name, command, activities.Options{}); err != nil {
			wrong(key, err)
		}
		duration(wrong, append(key[:2:2], "timeout"), a.Timeout, false)
	}
}

// Forever is the duration of what is never removed.
const Forever = "forever"

func duration(wrong func([]string, error), key []string, text string, mayBeForever bool) {
	if text == "" || mayBeForever && text == Forever {
		return
	}
	if d, err := activities.ParseDuration(text); err != nil {
		wrong(key, err)
	} else if d <= 0 {
		wrong(key, fmt.Errorf("%q is not longer than nothing", text))
	}
}

func oneOf(wrong func([]string, error), key []string, value string, known ...string) {
	if value != "" && !slices.Contains(known, value) {
		wrong(key, fmt.Errorf("%q is none of %s", value, strings.Join(known, ", ")))
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// unknownKey names a key that is not known, and the one that was probably meant.
func unknownKey(key []string) string {
	known := keys(reflect.TypeFor[File](), key[:len(key)-1])
	text := fmt.Sprintf("unknown key %s", strings.Join(key, "."))
	if near := activities.NearestOf(key[len(key)-1], known); near != "" {
		return text + "; did you mean " + near + "?"
	}
	if len(known) > 0 {
		text += "; there are " + strings.Join(known, ", ")
	}
	return text
}

// keys are those of the table at a path, nil when there is no such table.
func keys(t reflect.Type, path []string) (names []string) {
	for _, part := range path {
		switch t.Kind() {
		case reflect.Map:
			t = t.Elem()
			continue
		case reflect.Struct:
		default:
			return nil
		}
		found := false
		for f := range t.Fields() {
			if f.Tag.Get("toml") == part {
				t, found = f.Type, true
				break
			}
		}
		if !found {
			return nil
		}
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		if tag := f.Tag.Get("toml"); tag != "-" {
			names = append(names, tag)
		}
	}
	return names
}

// lines are the lines of the tables and keys of a document that decodes, by path.
func lines(text []byte) map[string]int {
	at := make(map[string]int)
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var path []string
		line := 0
		for it := e.Key(); it.Next(); {
			path = append(path, string(it.Node().Data))
			if line == 0 {
				line = p.Shape(it.Node().Raw).Start.Line
			}
		}
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			table = path
		} else {
			path = append(table[:len(table):len(table)], path...)
		}
		at[strings.Join(path, "\x00")] = line
	}
	return at
}
