// Built-ins: log lines.

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
				if l.Fields, perr = encodeValue(fields, plain, b.s.maxValue); perr != nil {
					return nil, raise("PayloadError", "log.%s: the fields cannot be kept: %v", level, perr)
				}
			}
			b.s.log(l)
			return star.None, nil
		})
	}
	return m
}
