// Built-ins: progress, status, state, counter: what a script shows of itself.

package starlark

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// shows is what the script shows, to be added to.
func (s *script) shows() *shown {
	if s.shown == nil {
		s.shown = &shown{}
	}
	return s.shown
}

// shown is what a script shows of itself, nil when it shows nothing; the values are in stored form.
type shown struct {
	progress []byte // object with fraction and message
	status   []byte // text
	state    table
	counters table
	size     int  // of the values of state
	changed  bool // since it was last published
}

// table is a map that keeps the order in which its keys came.
type table struct {
	keys   []string
	values map[string][]byte
}

func (t *table) set(key string, value []byte) {
	if t.values == nil {
		t.values = make(map[string][]byte)
	}
	if _, ok := t.values[key]; !ok {
		t.keys = append(t.keys, key)
	}
	t.values[key] = value
}

func (t *table) append(b []byte) []byte {
	b = append(b, '{')
	for i, k := range t.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendString(b, k), ':'), t.values[k]...)
	}
	return append(b, '}')
}

// encode is the object that is published.
func (s *shown) encode() []byte {
	if s == nil {
		return []byte("{}")
	}
	b := []byte{'{'}
	field := func(name string, value []byte) {
		if value == nil {
			return
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(appendString(b, name), ':'), value...)
	}
	field("progress", s.progress)
	field("status", s.status)
	if len(s.state.keys) > 0 {
		field("state", s.state.append(nil))
	}
	if len(s.counters.keys) > 0 {
		field("counters", s.counters.append(nil))
	}
	return append(b, '}')
}

// restore takes over what an earlier run showed.
func (s *shown) restore(b []byte) error {
	var doc struct {
		Progress, Status, State, Counters json.RawMessage
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("what the run before has shown cannot be read: %w", err)
	}
	s.progress, s.status = doc.Progress, doc.Status
	for _, part := range []struct {
		t   *table
		raw json.RawMessage
	}{{&s.state, doc.State}, {&s.counters, doc.Counters}} {
		if err := part.t.restore(part.raw); err != nil {
			return fmt.Errorf("what the run before has shown cannot be read: %w", err)
		}
	}
	for _, v := range s.state.values {
		s.size += len(v)
	}
	return nil
}

func (t *table) restore(raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return err
		}
		t.set(key.(string), v)
	}
	return nil
}

// publish tells the host what has changed.
func (s *script) publish() {
	if s.shown != nil && s.shown.changed {
		s.shown.changed = false
		s.host.Publish(s.shown.encode())
	}
}

func progressBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "progress")
	if err != nil {
		return nil, err
	}
	var fraction, message star.Value = star.None, star.None
	if err := star.UnpackArgs("progress", args, kwargs, "fraction?", &fraction, "message?", &message); err != nil {
		return nil, err
	}
	if fraction != star.None {
		if err := fractionOf(fraction); err != nil {
			return nil, err
		}
	}
	doc := star.NewDict(2)
	for _, kv := range []struct {
		key string
		v   star.Value
	}{{"fraction", fraction}, {"message", message}} {
		if kv.v == star.None {
			continue
		}
		if kv.key == "message" {
			kv.v = star.String(text(kv.v))
		}
		if err := doc.SetKey(star.String(kv.key), kv.v); err != nil {
			return nil, err
		}
	}
	raw, err := b.payload("progress", doc)
	if err != nil {
		return nil, err
	}
	s := b.s.shows()
	s.progress, s.changed = raw, true
	return star.None, nil
}

// fractionOf refuses what is no part of a whole.
func fractionOf(v star.Value) error {
	f, ok := star.AsFloat(v)
	if !ok || math.IsNaN(f) || f < 0 || f > 1 {
		return fmt.Errorf("progress: the fraction is a number from 0 to 1, got %s", repr(v))
	}
	return nil
}

func statusBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "status")
	if err != nil {
		return nil, err
	}
	var v star.Value
	if err := star.UnpackArgs("status", args, kwargs, "text", &v); err != nil {
		return nil, err
	}
	raw, err := b.payload("status", star.String(text(v)))
	if err != nil {
		return nil, err
	}
	s := b.s.shows()
	s.status, s.changed = raw, true
	return star.None, nil
}

// keep sets one key of the state.
func (b *branch) keep(what, key string, v star.Value) error {
	if err := wellFormed(what+": the key", key); err != nil {
		return err
	}
	raw, err := b.payload(fmt.Sprintf("%s %q", what, key), v)
	if err != nil {
		return err
	}
	if _, err := ToPlain(raw); err != nil { // as clients will see it
		return raise("PayloadError", "%s %q: the value is no JSON: %v", what, key, err)
	}
	s := b.s.shows()
	size := s.size + len(raw) - len(s.state.values[key])
	if limit := b.s.maxValue; size > limit {
		return raise("PayloadError", "%s %q: the state would have %d bytes, the limit is %d", what, key, size, limit)
	}
	s.size = size
	s.state.set(key, raw)
	s.changed = true
	return nil
}

func stateModule() *starlarkstruct.Module {
	return &starlarkstruct.Module{Name: "state", Members: star.StringDict{
		"set": method("state.set", func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, "state.set")
			if err != nil {
				return nil, err
			}
			var key string
			var v star.Value
			if err := star.UnpackArgs("state.set", args, renamed(kwargs, "k", "key", "v", "value"), "key", &key, "value", &v); err != nil {
				return nil, err
			}
			return star.None, b.keep("state.set", key, v)
		}),
		"update": method("state.update", func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, "state.update")
			if err != nil {
				return nil, err
			}
			if len(args) > 0 {
				return nil, fmt.Errorf("state.update: takes keyword arguments; write state.set(key, value) for a key that is computed")
			}
			for _, kv := range kwargs {
				if err := b.keep("state.update", string(kv[0].(star.String)), kv[1]); err != nil {
					return nil, err
				}
			}
			return star.None, nil
		}),
		"get": method("state.get", func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := readerOf(thread, "state.get")
			if err != nil {
				return nil, err
			}
			var key string
			var otherwise star.Value = star.None
			if err := star.UnpackArgs("state.get", args, renamed(kwargs, "k", "key"), "key", &key, "default?", &otherwise); err != nil {
				return nil, err
			}
			raw, ok := b.s.shows().state.values[key]
			if !ok {
				return otherwise, nil
			}
			return decodeStored(raw)
		}),
	}}
}

func counterBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := readerOf(thread, "counter")
	if err != nil {
		return nil, err
	}
	var name string
	if err := star.UnpackArgs("counter", args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	return &counter{s: b.s, name: name}, wellFormed("counter: the name", name)
}

// counter is the value counter(name).
type counter struct {
	s    *script
	name string
}

func (c *counter) String() string        { return fmt.Sprintf("counter(%q)", c.name) }
func (c *counter) Type() string          { return "counter" }
func (c *counter) Freeze()               {}
func (c *counter) Truth() star.Bool      { return true }
func (c *counter) Hash() (uint32, error) { return hashText(c.name), nil }

// AttrNames lists the attributes.
func (c *counter) AttrNames() []string { return []string{"add", "value"} }

// Attr returns an attribute.
func (c *counter) Attr(name string) (star.Value, error) {
	switch name {
	case "value":
		return c.value(), nil
	case "add":
		return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, "counter")
			if err != nil {
				return nil, err
			}
			n := star.MakeInt(1)
			if err := star.UnpackArgs("add", args, kwargs, "n?", &n); err != nil {
				return nil, err
			}
			if b.s != c.s {
				return nil, fmt.Errorf("this counter belongs to another execution")
			}
			sum := c.value().Add(n)
			c.s.shows().counters.set(c.name, []byte(sum.String()))
			c.s.shows().changed = true
			return sum, nil
		}), nil
	}
	return nil, nil
}

func (c *counter) value() star.Int {
	n, ok := new(big.Int).SetString(string(c.s.shows().counters.values[c.name]), 10)
	if !ok {
		return star.MakeInt(0)
	}
	return star.MakeBigInt(n)
}

// PlainShown is what was published as clients see it: JSON without tags.
func PlainShown(published []byte) ([]byte, error) {
	if len(published) == 0 {
		return nil, nil
	}
	var s shown
	err := s.restore(published)
	if err != nil {
		return nil, err
	}
	for _, v := range []*[]byte{&s.progress, &s.status} {
		if *v == nil {
			continue
		}
		if *v, err = ToPlain(*v); err != nil {
			return nil, err
		}
	}
	for key, v := range s.state.values {
		if s.state.values[key], err = ToPlain(v); err != nil {
			return nil, err
		}
	}
	return s.encode(), nil
}

var _ star.HasAttrs = (*counter)(nil)
