// Variables of a script at a command, for people who look back.

package starlark

import (
	"fmt"
	"reflect"
	"unsafe"

	star "go.starlark.net/starlark"
)

// Watcher is an optional ability of a [Host]: it is told of each command before
// Issue, on replay too. frames are the calls of the branch that asks for
// it, the innermost first; it may be called before Watch returns only. An error unwinds the script as Issue's does.
type Watcher interface {
	Watch(c Command, frames func() []Frame) error
}

// Frame is a function call under way.
type Frame struct {
	Function  string     `json:"function"`
	Pos       string     `json:"pos"` // file:line:col
	Variables []Variable `json:"variables"`
}

// Variable is a variable of a function, with its value as Starlark writes it, cut when it is long.
type Variable struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Captured bool   `json:"captured,omitempty"` // of a function around it
}

// maxShown is how many bytes of a variable's value are shown.
const maxShown = 400

// frames looks at the calls of a branch.
func (b *branch) frames() []Frame {
	list := []Frame{}
	for depth := range b.thread.CallStackDepth() {
		f := b.thread.DebugFrame(depth)
		fn, ok := f.Callable().(*star.Function)
		if !ok { // a built-in has no variables
			continue
		}
		one := Frame{Function: fn.Name(), Pos: f.Position().String(), Variables: []Variable{}}
		for i := range f.NumLocals() {
			binding, v := f.Local(i)
			if v = inCell(v); v != nil {
				one.Variables = append(one.Variables, Variable{Name: binding.Name, Value: shorten(repr(v))})
			}
		}
		for i := range fn.NumFreeVars() {
			if binding, v := fn.FreeVar(i); v != nil {
				one.Variables = append(one.Variables, Variable{Name: binding.Name, Value: shorten(repr(v)), Captured: true})
			}
		}
		list = append(list, one)
	}
	return list
}

// inCell is the value of a variable that inner functions share: the
// interpreter keeps it in a cell of a type of its own, a struct that holds nothing else.
func inCell(v star.Value) star.Value {
	p := reflect.ValueOf(v)
	if v == nil || v.Type() != "cell" || p.Kind() != reflect.Pointer || p.Elem().Kind() != reflect.Struct || p.Elem().NumField() != 1 {
		return v
	}
	field := p.Elem().Field(0)
	inner, _ := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Interface().(star.Value)
	return inner
}

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:maxShown], len(s))
}
