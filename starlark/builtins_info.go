// Built-in: info, what a script may know of its execution.

package starlark

import (
	"fmt"
	"slices"

	star "go.starlark.net/starlark"
)

// infoFields are what info has, sorted.
var infoFields = []string{"digest", "id", "parent", "run", "started_at", "tags", "workflow"}

// infoValue is the built-in info. Scripts write info.id; the compiler makes info("id").id of
// it, because the attribute of a value cannot see whose thread asks.
type infoValue struct{}

func (infoValue) String() string        { return "info" }
func (infoValue) Type() string          { return "info" }
func (infoValue) Name() string          { return "info" }
func (infoValue) Freeze()               {}
func (infoValue) Truth() star.Bool      { return true }
func (infoValue) Hash() (uint32, error) { return hashText("info"), nil }

// AttrNames lists the fields.
func (infoValue) AttrNames() []string { return slices.Clone(infoFields) }

// Attr is asked only where the compiler sees no info, as after x = info.
func (infoValue) Attr(name string) (star.Value, error) {
	if !slices.Contains(infoFields, name) {
		return nil, nil
	}
	return nil, fmt.Errorf("a field of info is read by the name info; write info.%s", name)
}

// CallInternal is info(field): the struct of all fields, if it has that one.
func (infoValue) CallInternal(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := readerOf(thread, "info")
	if err != nil {
		return nil, err
	}
	var field string
	if err := star.UnpackArgs("info", args, kwargs, "field?", &field); err != nil {
		return nil, err
	}
	if field != "" && !slices.Contains(infoFields, field) {
		return nil, fmt.Errorf("info has no field %s%s", field, didYouMean(field, infoFields))
	}
	return b.s.info().value(), nil
}

// info is what the script knows of its execution where it stands.
func (s *script) info() Info {
	i := s.known
	if h, ok := s.host.(CopyHost); ok {
		h.Known(&i)
	}
	return i
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
	return structNamed(star.String("info"), star.StringDict{
		"id": star.String(i.ID), "run": star.MakeInt(i.Run), "workflow": star.String(i.Workflow), "digest": star.String(i.Digest),
		"started_at": momentOf(i.StartedAt), "parent": parent, "tags": tags,
	})
}

var (
	_ star.Callable = infoValue{}
	_ star.HasAttrs = infoValue{}
)
