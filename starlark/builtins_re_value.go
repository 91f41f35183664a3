// The values of the re module: patterns and matches.

package starlark

import (
	"errors"
	"fmt"
	"regexp"
	resyntax "regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// reFlags are the flags, with Python's numbers.
var reFlags = []struct {
	short, long string
	bit         int
}{{"I", "IGNORECASE", 2}, {"M", "MULTILINE", 8}, {"S", "DOTALL", 16}}

// reForm is how a pattern is applied to a text.
type reForm int

const (
	searching    reForm = iota // anywhere
	matching                   // at the beginning
	fullMatching               // the text as a whole
)

// rePattern is what re.compile returns. Its forms are compiled when they are
// first needed, once for all executions that share the file.
type rePattern struct {
	source string
	flags  int
	groups int
	names  []string // of the groups; "": has none
	forms  [3]func() (*regexp.Regexp, error)
}

func (p *rePattern) form(f reForm) (*regexp.Regexp, error) { return p.forms[f]() }

// patternOf takes a pattern, or the text of one.
func patternOf(v, flags star.Value) (*rePattern, error) {
	switch v := v.(type) {
	case nil:
		return nil, fmt.Errorf("missing argument for pattern")
	case *rePattern:
		if flags != nil {
			return nil, fmt.Errorf("the pattern is compiled already; write re.compile(pattern, flags)")
		}
		return v, nil
	case star.String:
		bits, err := flagBits(flags)
		if err != nil {
			return nil, err
		}
		return newPattern(string(v), bits)
	}
	return nil, fmt.Errorf("the pattern is text or what re.compile returns, got %s", v.Type())
}

func flagBits(v star.Value) (int, error) {
	if v == nil {
		return 0, nil
	}
	bits, err := star.AsInt32(v)
	for _, f := range reFlags {
		bits &^= f.bit
	}
	if err != nil || bits != 0 {
		return 0, fmt.Errorf("flags are re.I, re.M and re.S, joined like re.I | re.M, got %s", repr(v))
	}
	return star.AsInt32(v)
}

func newPattern(source string, flags int) (*rePattern, error) {
	if err := pythonOnly(source); err != nil {
		return nil, err
	}
	tree, err := resyntax.Parse(source, resyntax.Perl)
	if err != nil {
		return nil, badPattern(err)
	}
	p := &rePattern{source: source, flags: flags, groups: tree.MaxCap(), names: tree.CapNames()}
	inline := ""
	for _, f := range reFlags {
		if flags&f.bit != 0 {
			inline += "(?" + strings.ToLower(f.short) + ")"
		}
	}
	for i, text := range []string{source, `\A(?:` + source + `)`, `\A(?:` + source + `)\z`} {
		p.forms[i] = sync.OnceValues(func() (*regexp.Regexp, error) { return regexp.Compile(inline + text) })
	}
	return p, nil
}

// rePieces are escapes, classes, and what Python reads otherwise than Go.
var rePieces = regexp.MustCompile(`(?s)\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\{,\d+\}`)

// pythonOnly refuses what Go takes silently for something else than Python.
func pythonOnly(source string) error {
	for _, piece := range rePieces.FindAllString(source, -1) {
		switch {
		case piece == `\Q`:
			return fmt.Errorf(`bad pattern: \Q is no escape; write re.escape(text)`)
		case piece[0] == '{':
			return fmt.Errorf(`bad pattern: %s has no lower bound; write {0%s, or \%s for the text itself`, piece, piece[1:], piece)
		}
	}
	return nil
}

// reHints say what to write instead of what RE2 does not have, by how it begins.
var reHints = []struct{ begins, hint string }{
	{"(?=", "there is no lookahead; match what follows too, and take a group"},
	{"(?!", "there is no lookahead; match what follows too, and look at it in the script"},
	{"(?<=", "there is no lookbehind; match what precedes too, and take a group"},
	{"(?<!", "there is no lookbehind; match what precedes too, and look at it in the script"},
	{"(?P", "only (?P<name>...) begins so; there are no back-references: take both groups and compare them"},
	{"(?>", "nothing is tried twice; write (?:...)"},
	{"(?#", "there are no comments; write them beside the pattern"},
	{"(?x", "there is no flag x; join the parts of the pattern with +"},
	{"(?(", "there are no conditions; write two patterns"},
	{`\Z`, `write \z`},
}

// badPattern words an error of the parser.
func badPattern(err error) error {
	var e *resyntax.Error
	if !errors.As(err, &e) {
		return err
	}
	hint := ""
	for _, h := range reHints {
		if strings.HasPrefix(e.Expr, h.begins) {
			hint = "; " + h.hint
			break
		}
	}
	switch {
	case hint != "":
	case len(e.Expr) == 2 && e.Expr[0] == '\\' && e.Expr[1] >= '1' && e.Expr[1] <= '9':
		hint = "; there are no back-references; take both groups and compare them"
	case e.Code == resyntax.ErrInvalidRepeatOp:
		hint = `; write \+ or \* for the character itself`
	case e.Code == resyntax.ErrUnexpectedParen, e.Code == resyntax.ErrMissingParen:
		hint = `; write \( and \) for the characters themselves`
	case e.Code == resyntax.ErrMissingBracket:
		hint = `; write \[ for the character itself`
	case e.Code == resyntax.ErrTrailingBackslash:
		hint = `; write r"\\" for a backslash`
	}
	return fmt.Errorf("bad pattern: %s: %s%s", e.Code, e.Expr, hint)
}

// group finds the group that a script names by number or name.
func (p *rePattern) group(v star.Value) (int, error) {
	if name, ok := star.AsString(v); ok {
		if i := slices.Index(p.names, name); i > 0 && name != "" {
			return i, nil
		}
		return 0, fmt.Errorf("no group %q; %s", name, p.known())
	}
	if _, ok := v.(star.Int); !ok {
		return 0, fmt.Errorf("a group is a number or a name, got %s", v.Type())
	}
	n, err := star.AsInt32(v)
	if err != nil || n < 0 || n > p.groups {
		return 0, fmt.Errorf("no group %s; %s", v, p.known())
	}
	return n, nil
}

// named is group for what stands in a text.
func (p *rePattern) named(name string) (int, error) {
	if n, err := strconv.Atoi(name); err == nil {
		return p.group(star.MakeInt(n))
	}
	return p.group(star.String(name))
}

// known says which groups there are.
func (p *rePattern) known() string {
	var names []string
	for _, n := range p.names {
		if n != "" {
			names = append(names, n)
		}
	}
	switch {
	case p.groups == 0:
		return "the pattern has none: write (...) or (?P<name>...)"
	case len(names) > 0:
		return fmt.Sprintf("the pattern has %d, named %s", p.groups, strings.Join(names, ", "))
	}
	return fmt.Sprintf("the pattern has %d", p.groups)
}

func (p *rePattern) String() string {
	var flags []string
	for _, f := range reFlags {
		if p.flags&f.bit != 0 {
			flags = append(flags, "re."+f.short)
		}
	}
	if flags == nil {
		return "re.compile(" + star.String(p.source).String() + ")"
	}
	return "re.compile(" + star.String(p.source).String() + ", " + strings.Join(flags, " | ") + ")"
}

func (p *rePattern) Type() string          { return "re.Pattern" }
func (p *rePattern) Freeze()               {}
func (p *rePattern) Truth() star.Bool      { return true }
func (p *rePattern) Hash() (uint32, error) { return hashText(p.source), nil }

// CompareSameType finds patterns of equal text and flags equal.
func (p *rePattern) CompareSameType(op syntax.Token, other star.Value, _ int) (bool, error) {
	o := other.(*rePattern)
	same := p.source == o.source && p.flags == o.flags
	switch op {
	case syntax.EQL:
		return same, nil
	case syntax.NEQ:
		return !same, nil
	}
	return false, fmt.Errorf("patterns have no order; compare their .pattern")
}

// AttrNames lists the attributes.
func (p *rePattern) AttrNames() []string {
	names := []string{"flags", "groupindex", "groups", "pattern"}
	for name := range reOperations {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Attr returns an attribute.
func (p *rePattern) Attr(name string) (star.Value, error) {
	switch name {
	case "pattern":
		return star.String(p.source), nil
	case "flags":
		return star.MakeInt(p.flags), nil
	case "groups":
		return star.MakeInt(p.groups), nil
	case "groupindex":
		return p.byName(func(i int) star.Value { return star.MakeInt(i) })
	}
	op, ok := reOperations[name]
	if !ok {
		return nil, nil
	}
	return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		return op.run(p, thread, args, kwargs)
	}), nil
}

// byName is a dict of the groups that have names.
func (p *rePattern) byName(value func(int) star.Value) (star.Value, error) {
	d := star.NewDict(p.groups)
	for i, name := range p.names {
		if name == "" {
			continue
		}
		if err := d.SetKey(star.String(name), value(i)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// reMatch is a match of a pattern in a text.
type reMatch struct {
	p  *rePattern
	s  string
	at []int // two offsets a group, -1: not in the match
}

// text is a group as text, "" when it is not in the match.
func (m *reMatch) text(i int) string {
	if m.at[2*i] < 0 {
		return ""
	}
	return m.s[m.at[2*i]:m.at[2*i+1]]
}

// value is a group as a value.
func (m *reMatch) value(i int, missing star.Value) star.Value {
	if m.at[2*i] < 0 {
		return missing
	}
	return star.String(m.text(i))
}

func (m *reMatch) groups(missing star.Value) star.Tuple {
	t := make(star.Tuple, m.p.groups)
	for i := range t {
		t[i] = m.value(i+1, missing)
	}
	return t
}

// found is what findall lists: the match, its only group, or all groups.
func (m *reMatch) found() star.Value {
	switch m.p.groups {
	case 0:
		return star.String(m.text(0))
	case 1:
		return star.String(m.text(1))
	}
	return m.groups(star.String(""))
}

func (m *reMatch) String() string {
	return fmt.Sprintf("<re.Match span=(%d, %d), match=%s>", m.at[0], m.at[1], star.String(m.text(0)))
}

func (m *reMatch) Type() string          { return "re.Match" }
func (m *reMatch) Freeze()               {}
func (m *reMatch) Truth() star.Bool      { return true }
func (m *reMatch) Hash() (uint32, error) { return hashText(m.text(0)), nil }

// Get is m[group].
func (m *reMatch) Get(key star.Value) (star.Value, bool, error) {
	i, err := m.p.group(key)
	if err != nil {
		return nil, false, err
	}
	return m.value(i, star.None), true, nil
}

// AttrNames lists the attributes.
func (m *reMatch) AttrNames() []string {
	return []string{"end", "group", "groupdict", "groups", "re", "span", "start", "string"}
}

// Attr returns an attribute.
func (m *reMatch) Attr(name string) (star.Value, error) {
	switch name {
	case "re":
		return m.p, nil
	case "string":
		return star.String(m.s), nil
	case "group":
		return method(name, m.group), nil
	case "groups":
		return m.withDefault(name, func(missing star.Value) (star.Value, error) { return m.groups(missing), nil }), nil
	case "groupdict":
		return m.withDefault(name, func(missing star.Value) (star.Value, error) {
			return m.p.byName(func(i int) star.Value { return m.value(i, missing) })
		}), nil
	case "start":
		return m.offsets(name, func(from, _ star.Value) star.Value { return from }), nil
	case "end":
		return m.offsets(name, func(_, to star.Value) star.Value { return to }), nil
	case "span":
		return m.offsets(name, func(from, to star.Value) star.Value { return star.Tuple{from, to} }), nil
	}
	return nil, nil
}

// group returns the whole match, a group, or a tuple of groups.
func (m *reMatch) group(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if len(kwargs) > 0 {
		return nil, fmt.Errorf("group: takes no keyword arguments; write m.group(1) or m.group(\"name\")")
	}
	if len(args) == 0 {
		return star.String(m.text(0)), nil
	}
	t := make(star.Tuple, len(args))
	for n, a := range args {
		i, err := m.p.group(a)
		if err != nil {
			return nil, fmt.Errorf("group: %w", err)
		}
		t[n] = m.value(i, star.None)
	}
	if len(t) == 1 {
		return t[0], nil
	}
	return t, nil
}

// withDefault makes a method whose only parameter stands for groups that are not in the match.
func (m *reMatch) withDefault(name string, fn func(star.Value) (star.Value, error)) *star.Builtin {
	return method(name, func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var missing star.Value = star.None
		if err := star.UnpackArgs(name, args, kwargs, "default?", &missing); err != nil {
			return nil, err
		}
		return fn(missing)
	})
}

// offsets makes a method about where a group stands, counted in bytes as the language counts.
func (m *reMatch) offsets(name string, fn func(from, to star.Value) star.Value) *star.Builtin {
	return method(name, func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var group star.Value = star.MakeInt(0)
		if err := star.UnpackArgs(name, args, kwargs, "group?", &group); err != nil {
			return nil, err
		}
		i, err := m.p.group(group)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return fn(star.MakeInt(m.at[2*i]), star.MakeInt(m.at[2*i+1])), nil
	})
}

var (
	_ star.HasAttrs   = (*rePattern)(nil)
	_ star.Comparable = (*rePattern)(nil)
	_ star.HasAttrs   = (*reMatch)(nil)
	_ star.Mapping    = (*reMatch)(nil)
)
