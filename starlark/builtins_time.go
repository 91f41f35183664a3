// Built-ins: time, sleeping, timers.

package starlark

import (
	"fmt"
	"time"

	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/senpuki/senpuki/internal/zones"
)

// moment is the library's time, with the zones of package zones: the library asks the machine for them.
type moment struct{ startime.Time }

func momentOf(t time.Time) moment { return moment{startime.Time(t)} }

// Attr returns a field or method.
func (t moment) Attr(name string) (star.Value, error) {
	if name != "in_location" {
		return t.Time.Attr(name)
	}
	return method("in_location", func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var location string
		if err := star.UnpackPositionalArgs("in_location", args, kwargs, 1, &location); err != nil {
			return nil, err
		}
		zone, err := zones.Load(location)
		if err != nil {
			return nil, fmt.Errorf("in_location: %w", err)
		}
		return momentOf(time.Time(t.Time).In(zone)), nil
	}), nil
}

// Cmp orders times.
func (t moment) Cmp(y star.Value, depth int) (int, error) { return t.Time.Cmp(y.(moment).Time, depth) }

// Binary is the library's: time + duration, time - duration, time - time.
func (t moment) Binary(op syntax.Token, y star.Value, side star.Side) (star.Value, error) {
	if op == syntax.MINUS && side == star.Right { // a duration less a time is nothing
		return nil, nil
	}
	if other, ok := y.(moment); ok {
		y = other.Time
	}
	v, err := t.Time.Binary(op, y, side)
	return ours(v), err
}

// ours makes a moment of the library's time, in UTC if it is the machine's.
func ours(v star.Value) star.Value {
	t, ok := v.(startime.Time)
	if !ok {
		return v
	}
	if at := time.Time(t); at.Location() == time.Local {
		return momentOf(at.UTC())
	}
	return moment{t}
}

// timeModule is the library's, with now refused while a file loads, and other zones.
func timeModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "time", Members: star.StringDict{}}
	for name, v := range startime.Module.Members {
		m.Members[name] = v
	}
	for name, parameters := range map[string][]string{"from_timestamp": {"sec", "nsec"}, "parse_duration": {"x"}} {
		inner := m.Members[name]
		m.Members[name] = method("time."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			args, kwargs, err := byPlace("time."+name, args, kwargs, parameters...) // the library takes them by place only
			if err != nil {
				return nil, err
			}
			v, err := star.Call(thread, inner, args, kwargs)
			return ours(v), err
		})
	}
	m.Members["now"] = method("time.now", nowBuiltin)
	m.Members["time"] = method("time.time", timeBuiltin)
	m.Members["parse_time"] = method("time.parse_time", parseTimeBuiltin)
	m.Members["is_valid_timezone"] = method("time.is_valid_timezone", validZoneBuiltin)
	return m
}

func nowBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := readerOf(thread, "time.now")
	if err != nil {
		return nil, err
	}
	if err := star.UnpackArgs("time.now", args, kwargs); err != nil {
		return nil, err
	}
	return momentOf(b.s.host.Now().UTC()), nil
}

func timeBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var year, month, day, hour, minute, second, nanosecond int
	var location string
	if len(args) > 0 {
		return nil, fmt.Errorf("time.time: unexpected positional arguments: it takes year=, month= and so on")
	}
	if err := star.UnpackArgs("time.time", args, kwargs, "year?", &year, "month?", &month, "day?", &day, "hour?", &hour,
		"minute?", &minute, "second?", &second, "nanosecond?", &nanosecond, "location?", &location); err != nil {
		return nil, err
	}
	zone, err := zones.Load(location)
	if err != nil {
		return nil, fmt.Errorf("time.time: %w", err)
	}
	return momentOf(time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, zone)), nil
}

// parseTimeBuiltin is the library's, except that an offset never becomes the zone of the machine.
func parseTimeBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var x string
	format, location := time.RFC3339, "UTC"
	if err := star.UnpackArgs("parse_time", args, kwargs, "x", &x, "format?", &format, "location?", &location); err != nil {
		return nil, err
	}
	zone, err := zones.Load(location)
	if err != nil {
		return nil, fmt.Errorf("time.parse_time: %w", err)
	}
	t, err := time.ParseInLocation(format, x, zone)
	return momentOf(t), err
}

func validZoneBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var name string
	if err := star.UnpackArgs("time.is_valid_timezone", args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	_, err := zones.Load(name)
	return star.Bool(err == nil), nil
}

// startTimer asks for a timer in b's scope.
func (b *branch) startTimer(d time.Duration, pos string) (*future, error) {
	return b.start(Command{Kind: StartTimer, Step: b.next(), Delay: d, Pos: pos})
}

// startLimit asks for a timer that bounds a wait of b.
func (b *branch) startLimit(d time.Duration, pos string) (*future, error) {
	return b.start(Command{Kind: StartTimer, Step: b.next(), Delay: d, Limit: true, Pos: pos})
}

// sleepFor waits for a timer.
func sleepFor(thread *star.Thread, d time.Duration) (star.Value, error) {
	b, err := branchOf(thread, "sleep")
	if err != nil {
		return nil, err
	}
	kept := len(b.scope)
	f, err := b.startTimer(d, position(thread, 1))
	if err != nil {
		return nil, err
	}
	_, err = b.await(f, kept)
	return star.None, err
}

func sleepBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value
	if err := star.UnpackArgs("sleep", args, renamed(kwargs, "d", "duration"), "duration", &v); err != nil {
		return nil, err
	}
	d, err := duration(v)
	if err != nil {
		return nil, fmt.Errorf("sleep: %w", err)
	}
	return sleepFor(thread, d)
}

func sleepUntilBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value
	if err := star.UnpackArgs("sleep_until", args, renamed(kwargs, "t", "time"), "time", &v); err != nil {
		return nil, err
	}
	t, ok := v.(moment)
	if !ok {
		return nil, fmt.Errorf("sleep_until: wants a time, like time.now() + time.hour, got %s", v.Type())
	}
	b, err := branchOf(thread, "sleep_until")
	if err != nil {
		return nil, err
	}
	return sleepFor(thread, max(time.Time(t.Time).Sub(b.s.host.Now()), 0))
}

func timerBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value
	if err := star.UnpackArgs("timer", args, renamed(kwargs, "d", "duration"), "duration", &v); err != nil {
		return nil, err
	}
	d, err := duration(v)
	if err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	b, err := branchOf(thread, "timer")
	if err != nil {
		return nil, err
	}
	b.prune()
	f, err := b.startTimer(d, position(thread, 1))
	if err != nil {
		return nil, err
	}
	return &Future{f: f}, nil
}
