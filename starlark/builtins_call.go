// Built-ins: activities, their handles and options, futures.

package starlark

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// handle is what activity(...) returns.
type handle struct {
	name    string
	options *ActivityOptions
	key     star.Callable // computes the key of a call
	pos     string
}

func (h *handle) String() string        { return "activity(" + h.name + ")" }
func (h *handle) Type() string          { return "activity" }
func (h *handle) Truth() star.Bool      { return true }
func (h *handle) Hash() (uint32, error) { return hashText(h.name), nil }
func (h *handle) Name() string          { return h.name }

// Freeze freezes what the key function closes over: a handle at the top of a file is shared by all executions.
func (h *handle) Freeze() {
	if h.key != nil {
		h.key.Freeze()
	}
}

// CallInternal runs the activity as a durable step and waits.
func (h *handle) CallInternal(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, h.name)
	if err != nil {
		return nil, err
	}
	kept := len(b.scope)
	f, err := h.begin(b, b.next(), args, kwargs, b.position(1))
	if err != nil {
		return nil, err
	}
	return b.await(f, kept)
}

// position is where the caller at a depth of the stack stands; of one that is a
// built-in, as attempt(h, 1) is, where that is called, or where a branch that it is alone in began.
func position(thread *star.Thread, depth int) string {
	if pos, ok := place(thread, depth); ok {
		return positionText(pos)
	}
	if b := whose(thread); b != nil {
		return b.began
	}
	return ""
}

// position is that of the branch's own thread: a loop asks for the same one again and again.
func (b *branch) position(depth int) string {
	pos, ok := place(b.thread, depth)
	switch {
	case !ok:
		return b.began
	case pos != b.at:
		b.at, b.atText = pos, positionText(pos)
	}
	return b.atText
}

func place(thread *star.Thread, depth int) (pos syntax.Position, ok bool) {
	if thread.CallStackDepth() <= depth {
		return pos, false
	}
	pos = thread.CallFrame(depth).Pos
	for pos.Line == 0 && depth+1 < thread.CallStackDepth() {
		depth++
		pos = thread.CallFrame(depth).Pos
	}
	return pos, pos.Line > 0
}

func positionText(pos syntax.Position) string {
	b := append(make([]byte, 0, 64), pos.Filename()...)
	b = strconv.AppendInt(append(b, ':'), int64(pos.Line), 10)
	return string(strconv.AppendInt(append(b, ':'), int64(pos.Col), 10))
}

// begin asks for the activity as the step of that name.
func (h *handle) begin(b *branch, step string, args star.Tuple, kwargs []star.Tuple, pos string) (*future, error) {
	c := Command{Kind: CallActivity, Step: step, Name: h.name, Options: h.options, Pos: pos}
	var err error
	if c.Args, c.Kwargs, err = encodeCall(h.name, b.s.maxValue, args, kwargs); err != nil {
		return nil, err
	}
	if h.key != nil {
		o, err := h.keyed(b, args, kwargs)
		if err != nil {
			return nil, err
		}
		c.Options = o
	}
	return b.start(c)
}

// encodeCall encodes the arguments of a call of what; kw is nil when there are no keyword arguments.
func encodeCall(what string, limit int, args star.Tuple, kwargs []star.Tuple) (pos, kw []byte, err error) {
	refused := func(where string, err *payloadError) error {
		return raise("PayloadError", "%s: %s %v", what, where, err)
	}
	e := encoder{form: stored, limit: limit}
	if perr := e.sequence(len(args), func(i int) star.Value { return args[i] }); perr != nil {
		return nil, nil, refused("argument", perr)
	}
	switch {
	case special(kwargs):
		k := encoder{form: stored, limit: limit}
		if perr := k.object(kwargs); perr != nil {
			return nil, nil, refused("argument", perr)
		}
		kw = k.b
	case len(kwargs) > 0:
		k := encoder{form: stored, limit: limit, b: []byte{'{'}}
		for i, kv := range kwargs {
			if i > 0 {
				k.b = append(k.b, ',')
			}
			name := string(kv[0].(star.String))
			if perr := k.name(name); perr != nil {
				return nil, nil, refused("the name of an argument:", perr)
			}
			k.b = append(k.b, ':')
			if perr := k.value(kv[1]); perr != nil {
				return nil, nil, refused("argument "+name, perr)
			}
		}
		kw = append(k.b, '}')
	}
	if len(e.b)+len(kw) > limit {
		return nil, nil, refused("arguments:", tooLarge(limit))
	}
	return e.b, kw, nil
}

// keyed computes the key of a call.
func (h *handle) keyed(b *branch, args star.Tuple, kwargs []star.Tuple) (*ActivityOptions, error) {
	v, err := b.purely("a key function", h.key, args, kwargs)
	if err != nil {
		return nil, err
	}
	key, ok := star.AsString(v)
	if !ok {
		return nil, fmt.Errorf("%s: the key function returned %s, want a string", h.name, v.Type())
	}
	if err := wellFormed(h.name+": the key", key); err != nil {
		return nil, err
	}
	o := *h.options
	o.Key = &key
	return &o, nil
}

// AttrNames lists the attributes.
func (h *handle) AttrNames() []string { return slices.Clone(handleAttrs) }

// Attr returns an attribute.
func (h *handle) Attr(name string) (star.Value, error) { return handleAttr(h, name) }

func (h *handle) with(kwargs []star.Tuple) (star.Value, error) {
	c := *h
	o := *h.options
	c.options = &o
	return &c, c.apply(kwargs)
}

// optionNames are the options of activity, in the order of its documentation.
var optionNames = []string{
	"retry", "timeout", "start_timeout", "heartbeat", "queue", "priority", "tags", "idempotent", "key", "cached",
	"cache_ttl", "version", "max_concurrent", "rate", "max_crashes", "pure",
}

// activityBuiltin is activity(name, *, options).
func activityBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if i := slices.IndexFunc(kwargs, func(kv star.Tuple) bool { return kv[0] == star.String("name") }); i >= 0 && len(args) == 0 {
		args, kwargs = star.Tuple{kwargs[i][1]}, slices.Concat(kwargs[:i], kwargs[i+1:])
	}
	if len(args) != 1 {
		return nil, fmt.Errorf("activity: takes the activity's name; its options are keyword arguments")
	}
	name, ok := star.AsString(args[0])
	if !ok || name == "" {
		return nil, fmt.Errorf("activity: the name is a string, got %s", repr(args[0]))
	}
	if err := wellFormed("activity: the name", name); err != nil {
		return nil, err
	}
	h := &handle{name: name, options: &ActivityOptions{}, pos: position(thread, 1)}
	if err := h.apply(kwargs); err != nil {
		return nil, err
	}
	return h, nil
}

// apply sets options given as keyword arguments.
func (h *handle) apply(kwargs []star.Tuple) error {
	return applyOptions("activity "+h.name, optionNames, kwargs, h.set)
}

func (h *handle) set(name string, v star.Value) (err error) {
	o := h.options
	switch name {
	case "retry":
		p, ok := v.(*retryPolicy)
		if !ok {
			return fmt.Errorf("wants retry_policy(...), got %s", v.Type())
		}
		o.Retry = &p.RetryPolicy
	case "timeout":
		o.Timeout, err = positiveDuration(v)
	case "start_timeout":
		o.StartTimeout, err = positiveDuration(v)
	case "heartbeat":
		o.Heartbeat, err = positiveDuration(v)
	case "cache_ttl":
		o.CacheTTL, err = positiveDuration(v)
	case "queue":
		o.Queue, err = textOption(v)
	case "version":
		o.Version, err = textOption(v)
	case "rate":
		o.Rate, err = rateOption(v)
	case "key":
		if fn, ok := v.(star.Callable); ok {
			h.key = fn
			return nil
		}
		h.key = nil
		o.Key, err = textOption(v)
	case "priority":
		o.Priority, err = intOption(v, -1<<31)
	case "max_concurrent":
		o.MaxConcurrent, err = intOption(v, 1)
	case "max_crashes":
		o.MaxCrashes, err = intOption(v, 0)
	case "tags":
		o.Tags, err = textList(v)
	case "idempotent":
		o.Idempotent, err = boolOption(v)
	case "cached":
		o.Cached, err = boolOption(v)
	case "pure":
		o.Pure, err = boolOption(v)
	}
	return err
}

func textOption(v star.Value) (*string, error) {
	s, ok := star.AsString(v)
	if !ok || s == "" {
		return nil, fmt.Errorf("wants text, got %s", repr(v))
	}
	return &s, wellFormed("the text", s)
}

// wellFormed refuses text that names something and is not UTF-8: what is stored of it would be another name.
func wellFormed(what, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s is not UTF-8: %q", what, text)
	}
	return nil
}

// rateOption takes a number per duration, "100/1m".
func rateOption(v star.Value) (*string, error) {
	s, err := textOption(v)
	if err != nil {
		return nil, err
	}
	count, per, _ := strings.Cut(*s, "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if d, wrong := duration(star.String(strings.TrimSpace(per))); err != nil || wrong != nil || n < 1 || d <= 0 {
		return nil, fmt.Errorf("wants a number per duration, such as \"100/1m\", got %q", *s)
	}
	return s, nil
}

func boolOption(v star.Value) (*bool, error) {
	b, ok := v.(star.Bool)
	if !ok {
		return nil, fmt.Errorf("wants True or False, got %s", repr(v))
	}
	t := bool(b)
	return &t, nil
}

func intOption(v star.Value, least int) (*int, error) {
	i, ok := v.(star.Int)
	if !ok {
		return nil, fmt.Errorf("wants an int, got %s", repr(v))
	}
	n, err := star.AsInt32(i)
	switch {
	case err != nil && i.Sign() > 0:
		return nil, fmt.Errorf("wants at most %d, got %s", math.MaxInt32, i)
	case err != nil || n < least:
		return nil, fmt.Errorf("wants at least %d, got %s", least, i)
	}
	return &n, nil
}

func textList(v star.Value) ([]string, error) {
	it := star.Iterate(v)
	if it == nil {
		return nil, fmt.Errorf("wants a list of texts, got %s", v.Type())
	}
	defer it.Done()
	list := []string{}
	var item star.Value
	for it.Next(&item) {
		s, ok := star.AsString(item)
		if !ok {
			return nil, fmt.Errorf("wants a list of texts, got %s in it", item.Type())
		}
		if err := wellFormed("a text", s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

var (
	_ stepHandle    = (*handle)(nil)
	_ star.HasAttrs = (*handle)(nil)
)
