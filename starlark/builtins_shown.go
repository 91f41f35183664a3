// Built-ins: log lines and info.

package starlark

import (
	"fmt"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

func logModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "log", Members: star.StringDict{}}
	for _, level := range []string{"debug", "info", "warn", "error"} {
		m.Members[level] = method("log."+level, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, "log."+level)
			if err != nil {
				return nil, err
			}
			if len(args) != 1 {
				return nil, fmt.Errorf("log.%s: takes a message; fields are keyword arguments", level)
			}
			l := Line{Branch: b.path, Level: level, Message: text(args[0])}
			if len(kwargs) > 0 {
				fields := star.NewDict(len(kwargs))
				for _, kv := range kwargs {
					if err := fields.SetKey(kv[0], kv[1]); err != nil {
						return nil, err
					}
				}
				var perr *payloadError
				if l.Fields, perr = encodeValue(fields, plain, b.s.opts.MaxValue); perr != nil {
					return nil, raise("PayloadError", "log.%s: fields%v", level, perr)
				}
			}
			b.s.host.Log(l)
			return star.None, nil
		})
	}
	return m
}

// text is a value as str() shows it.
func text(v star.Value) string {
	if s, ok := star.AsString(v); ok {
		return s
	}
	return v.String()
}

// infoBuiltin returns what a script may know of its execution. Scripts write
// info.id; the compiler makes info().id of it, because the attribute of a value cannot see whose thread asks.
func infoBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := readerOf(thread, "info")
	if err != nil {
		return nil, err
	}
	if err := star.UnpackArgs("info", args, kwargs); err != nil {
		return nil, err
	}
	return b.s.opts.Info.value(), nil
}

func (i Info) value() star.Value {
	parent := star.Value(star.None)
	if i.Parent != "" {
		parent = star.String(i.Parent)
	}
	tags := make(star.Tuple, len(i.Tags))
	for n, t := range i.Tags {
		tags[n] = star.String(t)
	}
	return starlarkstruct.FromStringDict(star.String("info"), star.StringDict{
		"id": star.String(i.ID), "run": star.MakeInt(i.Run), "workflow": star.String(i.Workflow), "digest": star.String(i.Digest),
		"started_at": momentOf(i.StartedAt), "parent": parent, "tags": tags,
	})
}
