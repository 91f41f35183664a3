// Programs: compiled load closures whose modules were run once.

package starlark

import (
	"container/list"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Program is a compiled load closure. Its globals are frozen and shared by all its runs.
type Program struct {
	digest   string
	entry    string
	doc      string
	globals  star.StringDict
	modules  map[string]star.StringDict // globals of every file
	calls    []Call
	mistakes Problems
	warnings Problems
	turning  turning
}

// Digest is the digest of the program's sources.
func (p *Program) Digest() string { return p.digest }

// Doc is the docstring of the entry file.
func (p *Program) Doc() string { return p.doc }

// Warnings are problems that stop nothing.
func (p *Program) Warnings() Problems { return slices.Clone(p.warnings) }

// Mistakes are calls of built-ins and of the script's own functions that will fail when they are
// made. They are no error of Compile: what was stored with one in a branch that is never taken still runs.
func (p *Program) Mistakes() Problems { return slices.Clone(p.mistakes) }

// Functions are the names of the entry file's functions, sorted.
func (p *Program) Functions() []string {
	var names []string
	for name, v := range p.globals {
		if _, ok := v.(*star.Function); ok && !strings.HasPrefix(name, "_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// function finds a function of the entry file, or "file:name" in another one.
func (p *Program) function(name string) (*star.Function, error) {
	if file, name, ok := strings.Cut(name, ":"); ok {
		if fn, ok := p.modules[file][name].(*star.Function); ok {
			return fn, nil
		}
	}
	fn, ok := p.globals[name].(*star.Function)
	if !ok {
		return nil, &NoFunctionError{File: p.entry, Function: name, Have: p.Functions()}
	}
	return fn, nil
}

// NoFunctionError says that a script has no function of a name.
type NoFunctionError struct {
	File, Function string
	Have           []string // those that it has, sorted
}

func (e *NoFunctionError) Error() string {
	have := "; there is none"
	if len(e.Have) > 0 {
		have = didYouMean(e.Function, e.Have)
	}
	return fmt.Sprintf("%s has no function %s%s", e.File, e.Function, have)
}

// CheckInput says whether input fits a function: an object holds keyword
// arguments, an array positional ones, anything else is the one argument. When it does not, the error is an
// *InputError, or a *NoFunctionError.
func (p *Program) CheckInput(fn string, input []byte) error {
	f, err := p.function(fn)
	if err != nil {
		return err
	}
	if mayOverflow(input) {
		if _, err := FromPlain(input); err != nil {
			return inputError(f, "cannot take its input: "+err.Error())
		}
	}
	args, kwargs, err := inputArgs(input)
	if err != nil {
		return err
	}
	return fits(f, args, kwargs)
}

// inputArgs decodes plain JSON input.
func inputArgs(input []byte) (star.Tuple, []star.Tuple, error) {
	if len(input) == 0 {
		return nil, nil, nil
	}
	if a, k, ok := cutCall(input); ok {
		return callArgs(a, k)
	}
	v, err := decodePlain(input)
	if err != nil {
		return nil, nil, fmt.Errorf("input is not JSON: %w", err)
	}
	switch v := v.(type) {
	case *star.Dict:
		var kwargs []star.Tuple
		kwargs = append(kwargs, v.Items()...)
		return nil, kwargs, nil
	case *star.List:
		var args star.Tuple
		for i := range v.Len() {
			args = append(args, v.Index(i))
		}
		return args, nil, nil
	}
	return star.Tuple{v}, nil, nil
}

// callArgs decodes the stored forms of a call's arguments.
func callArgs(args, kwargs []byte) (star.Tuple, []star.Tuple, error) {
	a, err := decodeStored(args)
	if err != nil {
		return nil, nil, err
	}
	k, err := decodeStored(kwargs)
	if err != nil {
		return nil, nil, err
	}
	list, ok := a.(*star.List)
	dict, ok2 := k.(*star.Dict)
	if !ok || !ok2 {
		return nil, nil, errors.New("input is no call")
	}
	tuple := make(star.Tuple, list.Len())
	for i := range tuple {
		tuple[i] = list.Index(i)
	}
	return tuple, dict.Items(), nil
}

// fits says whether a function can be called with these arguments.
func fits(f *star.Function, args star.Tuple, kwargs []star.Tuple) error {
	names := make([]string, len(kwargs))
	for i, kv := range kwargs {
		names[i] = string(kv[0].(star.String))
	}
	if wrong := signatureOf(f).judge(len(args), names); wrong != nil {
		return inputError(f, wrong.what)
	}
	return nil
}

// InputError says why input does not fit a function.
type InputError struct {
	Function string
	Reason   string
	Params   []string // of the function, those that have a name
}

func (e *InputError) Error() string { return e.Function + "() " + e.Reason }

func inputError(f *star.Function, what string) error {
	e := &InputError{Function: f.Name(), Reason: what}
	for _, p := range signatureOf(f).params {
		e.Params = append(e.Params, p.name)
	}
	return e
}

// Compile parses and resolves every module, and runs each once, effects refused. The error is Problems.
func Compile(s *Sources) (*Program, error) {
	c := &compiler{src: s, done: make(map[string]star.StringDict), files: make(map[string]*syntax.File), code: make(map[string]*star.Program)}
	for _, f := range s.Files {
		if !strings.HasSuffix(f.Path, ".json") {
			c.resolve(f)
		}
	}
	for name, f := range c.files {
		c.problems = append(c.problems, notThere(name, f, c.files)...)
	}
	if len(c.problems) > 0 {
		return nil, c.problems.Sorted()
	}
	globals, err := c.module(s.Entry)
	if len(c.problems) > 0 {
		return nil, c.problems.Sorted()
	}
	if err != nil {
		text, _ := s.file(s.Entry)
		return nil, problemsOf(s.Entry, text, err)
	}
	p := &Program{digest: s.Digest(), entry: s.Entry, globals: globals, modules: c.done, turning: make(turning)}
	p.doc = docOf(c.files[s.Entry])
	for _, f := range s.Files {
		if tree := c.files[f.Path]; tree != nil {
			calls, mistakes, warnings := inspect(tree, namesOf(f.Path, tree, c.done))
			p.turning.add(tree, nil)
			p.calls = append(p.calls, calls...)
			p.mistakes = append(p.mistakes, mistakes...)
			if !strings.HasPrefix(f.Path, "@") {
				p.warnings = append(p.warnings, warnings...)
			}
		}
	}
	return p, nil
}

func docOf(f *syntax.File) string {
	if f != nil && len(f.Stmts) > 0 {
		if e, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
			if l, ok := e.X.(*syntax.Literal); ok {
				if text, ok := l.Value.(string); ok {
					return text
				}
			}
		}
	}
	return ""
}

type compiler struct {
	src      *Sources
	done     map[string]star.StringDict
	files    map[string]*syntax.File
	code     map[string]*star.Program
	problems Problems
}

// resolve parses a file and looks its names up, before anything runs: what is wrong with one file hides nothing of another.
func (c *compiler) resolve(file File) {
	f, err := parse(file.Path, file.Text)
	if err == nil {
		c.code[file.Path], err = star.FileProgram(f, isPredeclared)
	}
	if err != nil {
		c.problems = append(c.problems, problemsOf(file.Path, file.Text, err)...)
		return
	}
	c.files[file.Path] = f
}

// module runs one file of the closure.
func (c *compiler) module(name string) (star.StringDict, error) {
	if globals, ok := c.done[name]; ok {
		if globals == nil {
			return nil, fmt.Errorf("load cycle through %s", name)
		}
		return globals, nil
	}
	c.done[name] = nil // in progress
	text, ok := c.src.file(name)
	if !ok {
		return nil, fmt.Errorf("%s is not among the sources", name)
	}
	if strings.HasSuffix(name, ".json") {
		v, err := decodePlain([]byte(text))
		if err != nil {
			return nil, err
		}
		v.Freeze()
		c.done[name] = star.StringDict{"json": v}
		return c.done[name], nil
	}
	thread := &star.Thread{
		Name: name,
		Load: func(_ *star.Thread, module string) (star.StringDict, error) {
			target, err := resolveLoad(name, module)
			if err != nil {
				return nil, err
			}
			return c.module(target)
		},
	}
	guard(thread, maxLoadSteps)
	globals, err := c.code[name].Init(thread, predeclared)
	globals.Freeze()
	if err != nil {
		if len(c.problems) == 0 {
			for _, p := range problemsOf(name, text, err) {
				c.problems = append(c.problems, c.judged(p))
			}
		}
		return nil, err
	}
	c.done[name] = globals
	return globals, nil
}

// judged is a problem of a call or a member in the words of those who judge it without running it, where these know it.
func (c *compiler) judged(p Problem) Problem {
	f := c.files[p.File]
	if f == nil {
		return p
	}
	outlines := make(map[string]*outline)
	for name, f := range c.files {
		outlines[name] = outlineOf(f)
	}
	outlines[p.File].load(p.File, f, outlines)
	names := &fileNames{text: outlines[p.File]}
	here := func(at syntax.Position) bool { return p.Line == int(at.Line) && p.Col == int(at.Col) }
	syntax.Walk(f, func(n syntax.Node) bool {
		var found Problems
		switch n := n.(type) {
		case *syntax.CallExpr:
			if here(n.Lparen) {
				found = names.judge(n)
			}
		case *syntax.DotExpr:
			if here(n.Dot) {
				found = names.member(n)
			}
		}
		if len(found) > 0 {
			p = found[0]
			return false
		}
		return true
	})
	return p
}

// maxLoadSteps bounds the interpreter steps of one module's top level.
const maxLoadSteps = 10_000_000

// guard bounds the steps and the depth of a thread that has no branch.
func guard(thread *star.Thread, steps uint64) {
	thread.SetMaxExecutionSteps(tick)
	thread.OnMaxSteps = func(t *star.Thread) {
		switch {
		case t.Steps >= steps:
			t.Cancel(fmt.Sprintf("more than %d steps while loading", steps))
		case t.CallStackDepth() > maxDepth:
			t.Cancel(fmt.Sprintf("calls nest deeper than %d", maxDepth))
		}
		t.SetMaxExecutionSteps(t.Steps + tick)
	}
}

// Cache memoises Compile by digest.
type Cache struct {
	mu    sync.Mutex // guards all below
	max   int
	order list.List // of *cached, newest first
	items map[string]*list.Element
}

type cached struct {
	digest string
	ready  chan struct{} // closed when prog or err is set
	prog   *Program
	err    error
}

// NewCache returns a cache of at most n programs.
func NewCache(n int) *Cache { return &Cache{max: max(n, 1), items: make(map[string]*list.Element)} }

// Lookup returns the program of a digest when it is in the cache.
func (c *Cache) Lookup(digest string) (*Program, bool) {
	c.mu.Lock()
	e := c.items[digest]
	if e == nil {
		c.mu.Unlock()
		return nil, false
	}
	c.order.MoveToFront(e)
	c.mu.Unlock()
	item := e.Value.(*cached)
	<-item.ready
	return item.prog, item.prog != nil
}

// Add puts a compiled program into the cache, so that its files are not loaded
// again: what they print while they load is shown once.
func (c *Cache) Add(p *Program) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items[p.digest] == nil {
		item := &cached{digest: p.digest, ready: make(chan struct{}), prog: p}
		close(item.ready)
		c.keep(item)
	}
}

// keep makes an item the newest; c.mu is held.
func (c *Cache) keep(item *cached) *list.Element {
	e := c.order.PushFront(item)
	c.items[item.digest] = e
	if c.order.Len() > c.max {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.items, last.Value.(*cached).digest)
	}
	return e
}

// Compile returns the program of sources, compiling them at most once.
func (c *Cache) Compile(s *Sources) (*Program, error) {
	digest := s.Digest()
	c.mu.Lock()
	if e := c.items[digest]; e != nil {
		c.mu.Unlock()
		item := e.Value.(*cached)
		<-item.ready
		return item.prog, item.err
	}
	item := &cached{digest: digest, ready: make(chan struct{})}
	e := c.keep(item)
	c.mu.Unlock()
	item.prog, item.err = Compile(s)
	close(item.ready)
	if item.err != nil {
		c.mu.Lock()
		if c.items[digest] == e {
			c.order.Remove(e)
			delete(c.items, digest)
		}
		c.mu.Unlock()
	}
	return item.prog, item.err
}
