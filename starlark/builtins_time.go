// Built-ins: time, sleeping, timers.

package starlark

import (
	"fmt"
	"time"
	_ "time/tzdata" // zones are the same everywhere

	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// timeModule is the library's, with now refused while a file loads.
func timeModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "time", Members: star.StringDict{}}
	for name, v := range startime.Module.Members {
		m.Members[name] = v
	}
	now := startime.Module.Members["now"]
	m.Members["now"] = method("time.now", func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		if _, err := readerOf(thread, "time.now"); err != nil {
			return nil, err
		}
		return star.Call(thread, now, args, kwargs)
	})
	m.Members["parse_time"] = method("time.parse_time", parseTimeBuiltin)
	for _, name := range []string{"from_timestamp", "parse_time", "time"} {
		inner := m.Members[name]
		m.Members[name] = method("time."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			v, err := star.Call(thread, inner, args, kwargs)
			if t, ok := v.(startime.Time); ok && time.Time(t).Location() == time.Local {
				v = startime.Time(time.Time(t).UTC()) // the zone of a machine is not a script's business
			}
			return v, err
		})
	}
	return m
}

// parseTimeBuiltin is the library's, except that an offset never becomes the zone of the machine.
func parseTimeBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var x string
	format, location := time.RFC3339, "UTC"
	if err := star.UnpackArgs("parse_time", args, kwargs, "x", &x, "format?", &format, "location?", &location); err != nil {
		return nil, err
	}
	loc, err := time.LoadLocation(location)
	if err != nil {
		return nil, err
	}
	t, err := time.ParseInLocation(format, x, loc)
	return startime.Time(t), err
}

// startTimer asks for a timer in b's scope.
func (b *branch) startTimer(d time.Duration, pos string) (*future, error) {
	return b.start(Command{Kind: StartTimer, Step: b.next(), Delay: d, Pos: pos})
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
	if err := b.wait(f); err != nil {
		if err != errUnwind {
			if unwound := f.abandon(); unwound != nil {
				return nil, unwound
			}
		}
		return nil, err
	}
	b.scope = b.scope[:kept]
	_, err = f.outcome()
	return star.None, err
}

func sleepBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value
	if err := star.UnpackArgs("sleep", args, kwargs, "duration", &v); err != nil {
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
	if err := star.UnpackArgs("sleep_until", args, kwargs, "time", &v); err != nil {
		return nil, err
	}
	t, ok := v.(startime.Time)
	if !ok {
		return nil, fmt.Errorf("sleep_until: wants a time, like time.now() + time.hour, got %s", v.Type())
	}
	b, err := branchOf(thread, "sleep_until")
	if err != nil {
		return nil, err
	}
	return sleepFor(thread, max(time.Time(t).Sub(b.s.host.Now()), 0))
}

func timerBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value
	if err := star.UnpackArgs("timer", args, kwargs, "duration", &v); err != nil {
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
