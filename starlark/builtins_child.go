// Built-ins: workflow, the handle of child executions.

package starlark

import (
	"fmt"
	"slices"
	"strings"

	star "go.starlark.net/starlark"
)

// What becomes of a child when the branch that started it ends.
const (
	closeCancel  = "cancel"
	closeAbandon = "abandon"
	closeWait    = "wait"
	closeSpawned = "spawned" // cancel of one that was spawned: as a branch it is awaited, and cancelled when what began it fails
)

// childRef is what a future knows of the child whose outcome it is.
type childRef struct {
	id     string
	policy string
}

// childHandle is what workflow(...) returns.
type childHandle struct {
	name    string         // of a deployed workflow, or
	fn      *star.Function // of this script
	id      string
	options *ChildOptions
}

func (h *childHandle) String() string        { return "workflow(" + h.Name() + ")" }
func (h *childHandle) Type() string          { return "workflow" }
func (h *childHandle) Truth() star.Bool      { return true }
func (h *childHandle) Hash() (uint32, error) { return hashText(h.Name()), nil }

// Freeze freezes the function.
func (h *childHandle) Freeze() {
	if h.fn != nil {
		h.fn.Freeze()
	}
}

// Name is the workflow's or the function's.
func (h *childHandle) Name() string {
	if h.fn != nil {
		return h.fn.Name()
	}
	return h.name
}

// CallInternal runs the child and waits for its outcome.
func (h *childHandle) CallInternal(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, h.Name())
	if err != nil {
		return nil, err
	}
	kept := len(b.scope)
	f, err := h.begin(b, b.next(), args, kwargs, position(thread, 1))
	if err != nil {
		return nil, err
	}
	return b.await(f, kept)
}

// begin starts the child as the step of that name.
func (h *childHandle) begin(b *branch, step string, args star.Tuple, kwargs []star.Tuple, pos string) (*future, error) {
	c := Command{Kind: StartChild, Step: step, Name: h.name, Child: h.options, Target: h.id, Pos: pos}
	if h.fn != nil {
		name, err := b.s.prog.nameOf(h.fn)
		if err != nil {
			return nil, err
		}
		o := *h.options
		o.Function = name
		c.Child = &o
	}
	if c.Target == "" {
		c.Target = b.s.host.ChildID(step)
	}
	var err error
	if c.Args, c.Kwargs, err = encodeCall(h.Name(), b.s.maxValue, args, kwargs); err != nil {
		return nil, err
	}
	f, err := b.start(c)
	if err != nil {
		return nil, err
	}
	policy := h.options.OnParentClose
	if policy == "" {
		policy = closeCancel
	}
	f.child = &childRef{id: c.Target, policy: policy}
	return f, nil
}

// close does what a child's on_parent_close says where its scope fails, anything else it cancels.
// It reports whether the outcome is to be awaited.
func (f *future) close() (await bool, err error) {
	if f.child == nil || f.settled || f.cancelled {
		return true, f.abandon()
	}
	switch f.child.policy {
	case closeAbandon:
		f.read = true
		return false, nil
	case closeWait:
		return true, nil
	}
	return true, f.abandon()
}

// AttrNames lists the attributes.
func (h *childHandle) AttrNames() []string { return slices.Clone(handleAttrs) }

// Attr returns an attribute.
func (h *childHandle) Attr(name string) (star.Value, error) { return handleAttr(h, name) }

func (h *childHandle) with(kwargs []star.Tuple) (star.Value, error) {
	c := *h
	o := *h.options
	c.options = &o
	return &c, c.apply(kwargs)
}

// childOptions are the options of workflow, in the order of its documentation.
var childOptions = []string{"id", "queue", "priority", "tags", "expiry", "retry", "timeout", "on_parent_close"}

// workflowBuiltin is workflow(name_or_function, *, options).
func workflowBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	args, kwargs, err := byPlace("workflow", args, kwargs, "name_or_function")
	if err != nil {
		return nil, err
	}
	if len(args) != 1 {
		return nil, fmt.Errorf("workflow: takes the name of a deployed workflow or a function of this script; options are keyword arguments")
	}
	h := &childHandle{options: &ChildOptions{}}
	switch v := args[0].(type) {
	case *star.Function:
		h.fn = v
	case star.String:
		h.name = string(v)
		if strings.HasSuffix(h.name, ".star") {
			return nil, fmt.Errorf("workflow: %q is a file; a deployed workflow is named %q, a function of another file is loaded and given itself",
				h.name, strings.TrimSuffix(h.name, ".star"))
		}
	}
	if h.fn == nil && h.name == "" {
		return nil, fmt.Errorf("workflow: wants the name of a deployed workflow or a function, got %s", repr(args[0]))
	}
	if err := wellFormed("workflow: the name", h.name); err != nil {
		return nil, err
	}
	return h, h.apply(kwargs)
}

// apply sets options given as keyword arguments.
func (h *childHandle) apply(kwargs []star.Tuple) error {
	return applyOptions("workflow "+h.Name(), childOptions, kwargs, h.set)
}

func (h *childHandle) set(name string, v star.Value) (err error) {
	o := h.options
	switch name {
	case "id":
		var id *string
		if id, err = textOption(v); err == nil {
			h.id = *id
		}
	case "queue":
		o.Queue, err = textOption(v)
	case "priority":
		o.Priority, err = intOption(v, -1<<31)
	case "tags":
		o.Tags, err = textList(v)
	case "expiry":
		o.Expiry, err = positiveDuration(v)
	case "timeout":
		o.Timeout, err = positiveDuration(v)
	case "retry":
		p, ok := v.(*retryPolicy)
		if !ok {
			return fmt.Errorf("wants retry_policy(...), got %s", v.Type())
		}
		o.Retry = &p.RetryPolicy
	case "on_parent_close":
		text, _ := star.AsString(v)
		if !slices.Contains([]string{closeCancel, closeAbandon, closeWait}, text) {
			return fmt.Errorf("wants \"cancel\", \"abandon\" or \"wait\", got %s", repr(v))
		}
		o.OnParentClose = text
	}
	return err
}

// nameOf is how Program.Run finds a function again: its name when it is the
// entry file's, else "file:name".
func (p *Program) nameOf(fn *star.Function) (string, error) {
	file := fn.Position().Filename()
	if p.modules[file][fn.Name()] != star.Value(fn) {
		return "", fmt.Errorf("%s (%s) cannot run as a workflow of its own: it is not a top-level def of a file of this script", fn.Name(), fn.Position())
	}
	if file == p.entry {
		return fn.Name(), nil
	}
	return file + ":" + fn.Name(), nil
}

var (
	_ stepHandle    = (*childHandle)(nil)
	_ star.HasAttrs = (*childHandle)(nil)
)
