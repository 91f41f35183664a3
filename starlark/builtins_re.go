// Built-ins: the re module, Python's names over Go's regular expressions (RE2).

package starlark

import (
	"fmt"
	"regexp"
	"strings"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// reOperation is a function of the module that is also a method of a pattern.
type reOperation struct {
	params int // how many the method has; the function has the pattern before and flags behind them
	run    func(p *rePattern, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error)
}

var reOperations = map[string]reOperation{
	"search":    {1, reFind("re.search", searching)},
	"match":     {1, reFind("re.match", matching)},
	"fullmatch": {1, reFind("re.fullmatch", fullMatching)},
	"findall":   {1, reFindall},
	"finditer":  {1, reFinditer},
	"split":     {2, reSplit},
	"sub":       {3, reSub},
	"subn":      {3, reSubn},
}

func reModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "re", Members: star.StringDict{
		"compile": method("re.compile", reCompile),
		"escape":  method("re.escape", reEscape),
	}}
	for _, f := range reFlags {
		m.Members[f.short], m.Members[f.long] = star.MakeInt(f.bit), star.MakeInt(f.bit)
	}
	for name, op := range reOperations {
		m.Members[name] = method("re."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			p, args, kwargs, err := patternFirst(op.params, args, kwargs)
			if err != nil {
				return nil, fmt.Errorf("re.%s: %w", name, err)
			}
			return op.run(p, thread, args, kwargs)
		})
	}
	return m
}

// patternFirst takes the pattern and the flags out of a function's arguments.
func patternFirst(params int, args star.Tuple, kwargs []star.Tuple) (*rePattern, star.Tuple, []star.Tuple, error) {
	var pattern, flags star.Value
	if len(args) > 0 {
		pattern, args = args[0], args[1:]
	}
	if len(args) == params+1 {
		flags, args = args[params], args[:params]
	}
	var rest []star.Tuple
	for _, kv := range kwargs {
		switch kv[0].(star.String) {
		case "pattern":
			if pattern != nil {
				return nil, nil, nil, fmt.Errorf("got two values for pattern")
			}
			pattern = kv[1]
		case "flags":
			if flags != nil {
				return nil, nil, nil, fmt.Errorf("got two values for flags")
			}
			flags = kv[1]
		default:
			rest = append(rest, kv)
		}
	}
	p, err := patternOf(pattern, flags)
	return p, args, rest, err
}

func reCompile(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var pattern, flags star.Value
	if err := star.UnpackArgs("re.compile", args, kwargs, "pattern", &pattern, "flags?", &flags); err != nil {
		return nil, err
	}
	p, err := patternOf(pattern, flags)
	if err != nil {
		return nil, fmt.Errorf("re.compile: %w", err)
	}
	return p, nil
}

// reSpecial is what Python escapes, so that the text may stand in a class too.
const reSpecial = "()[]{}?*+-|^$\\.&~# \t\n\r\v\f"

func reEscape(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var s textArg
	if err := star.UnpackArgs("re.escape", args, kwargs, "pattern", &s); err != nil {
		return nil, err
	}
	countBytes(thread, len(s))
	var out strings.Builder
	for i := range len(s) {
		if strings.IndexByte(reSpecial, s[i]) >= 0 {
			out.WriteByte('\\')
		}
		out.WriteByte(s[i])
	}
	return star.String(out.String()), nil
}

// reFind makes the operation that returns the first match of a form, or None.
func reFind(what string, form reForm) func(*rePattern, *star.Thread, star.Tuple, []star.Tuple) (star.Value, error) {
	return func(p *rePattern, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var s textArg
		if err := star.UnpackArgs(what, args, kwargs, "string", &s); err != nil {
			return nil, err
		}
		re, err := p.form(form)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		at := re.FindStringSubmatchIndex(string(s))
		if at == nil {
			if form == searching { // the others give up where they fail
				countBytes(thread, len(s))
			}
			return star.None, nil
		}
		countBytes(thread, at[1])
		return &reMatch{p, string(s), at}, nil
	}
}

// all finds the matches that do not overlap, at most so many (0: any number). Unlike
// Python it passes over an empty match right behind another match, as Go does.
func (p *rePattern) all(thread *star.Thread, what, s string, most int) ([]*reMatch, error) {
	if most < 0 {
		return nil, fmt.Errorf("%s: got %d; write 0 for all, or how many", what, most)
	}
	limit := maxItems / (p.groups + 1)
	n := limit + 1
	if most > 0 {
		n = min(n, most)
	}
	re, err := p.form(searching)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	found := re.FindAllStringSubmatchIndex(s, n)
	if len(found) > limit {
		return nil, fmt.Errorf("%s: more than %d matches; go through the text in pieces", what, limit)
	}
	countBytes(thread, len(s))
	thread.Steps += uint64(len(found) * (p.groups + 1))
	matches := make([]*reMatch, len(found))
	for i, at := range found {
		matches[i] = &reMatch{p, s, at}
	}
	return matches, nil
}

// each lists what item makes of every match.
func (p *rePattern) each(what string, thread *star.Thread, args star.Tuple, kwargs []star.Tuple, item func(*reMatch) star.Value) (star.Value, error) {
	var s textArg
	if err := star.UnpackArgs(what, args, kwargs, "string", &s); err != nil {
		return nil, err
	}
	matches, err := p.all(thread, what, string(s), 0)
	if err != nil {
		return nil, err
	}
	out := make([]star.Value, len(matches))
	for i, m := range matches {
		out[i] = item(m)
	}
	return star.NewList(out), nil
}

func reFindall(p *rePattern, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return p.each("re.findall", thread, args, kwargs, (*reMatch).found)
}

// reFinditer returns a list: an iterator would have nothing to save.
func reFinditer(p *rePattern, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return p.each("re.finditer", thread, args, kwargs, func(m *reMatch) star.Value { return m })
}

func reSplit(p *rePattern, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var s textArg
	maxsplit := 0
	if err := star.UnpackArgs("re.split", args, kwargs, "string", &s, "maxsplit?", &maxsplit); err != nil {
		return nil, err
	}
	matches, err := p.all(thread, "re.split", string(s), maxsplit)
	if err != nil {
		return nil, err
	}
	var out []star.Value
	last := 0
	for _, m := range matches {
		out = append(out, star.String(s[last:m.at[0]]))
		out = append(out, m.groups(star.None)...)
		last = m.at[1]
	}
	return star.NewList(append(out, star.String(s[last:]))), nil
}

func reSub(p *rePattern, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	text, _, err := p.replace("re.sub", thread, args, kwargs)
	return text, err
}

func reSubn(p *rePattern, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	text, n, err := p.replace("re.subn", thread, args, kwargs)
	return star.Tuple{text, star.MakeInt(n)}, err
}

// replace returns the text with its matches replaced, and how many there were.
func (p *rePattern) replace(what string, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.String, int, error) {
	var repl star.Value
	var s textArg
	count := 0
	if err := star.UnpackArgs(what, args, kwargs, "repl", &repl, "string", &s, "count?", &count); err != nil {
		return "", 0, err
	}
	write, err := p.replacement(what, thread, repl)
	if err != nil {
		return "", 0, err
	}
	matches, err := p.all(thread, what, string(s), count)
	if err != nil {
		return "", 0, err
	}
	var out strings.Builder
	last := 0
	for _, m := range matches {
		out.WriteString(string(s[last:m.at[0]]))
		if err := write(&out, m); err != nil {
			return "", 0, err
		}
		if last = m.at[1]; out.Len() > maxText {
			return "", 0, fmt.Errorf("%s: the result is larger than %d bytes; go through the text in pieces", what, maxText)
		}
	}
	out.WriteString(string(s[last:]))
	return star.String(out.String()), len(matches), nil
}

// replacement returns what writes the replacement of a match.
func (p *rePattern) replacement(what string, thread *star.Thread, repl star.Value) (func(*strings.Builder, *reMatch) error, error) {
	switch repl := repl.(type) {
	case star.String:
		t, err := p.template(string(repl))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		return func(out *strings.Builder, m *reMatch) error {
			countBytes(thread, t.write(out, m))
			return nil
		}, nil
	case star.Callable:
		return func(out *strings.Builder, m *reMatch) error {
			v, err := star.Call(thread, repl, star.Tuple{m}, nil)
			if err != nil {
				return err
			}
			s, ok := star.AsString(v)
			if !ok {
				return fmt.Errorf("%s: %s returned %s, want text; write return str(...)", what, repl.Name(), v.Type())
			}
			out.WriteString(s)
			return nil
		}, nil
	}
	return nil, fmt.Errorf("%s: the replacement is text or a function of the match, got %s; write re.sub(pattern, repl, text)", what, repl.Type())
}

// reTemplate is a replacement text.
type reTemplate []rePiece

type rePiece struct {
	literal string
	group   int // -1: literal
}

// write appends what the template makes of a match and returns its length.
func (t reTemplate) write(out *strings.Builder, m *reMatch) int {
	before := out.Len()
	for _, piece := range t {
		switch {
		case out.Len() > maxText: // the caller refuses it
			return out.Len() - before
		case piece.group < 0:
			out.WriteString(piece.literal)
		default:
			out.WriteString(m.text(piece.group))
		}
	}
	return out.Len() - before
}

// template reads a replacement: \1, \12, \g<1>, \g<name>, \n and the like.
func (p *rePattern) template(repl string) (t reTemplate, err error) {
	for {
		literal, rest, found := strings.Cut(repl, `\`)
		t = append(t, rePiece{literal, -1})
		if !found {
			return t, nil
		}
		var piece rePiece
		if piece, repl, err = p.templateEscape(rest); err != nil {
			return nil, fmt.Errorf("replacement: %w", err)
		}
		t = append(t, piece)
	}
}

var (
	reNumber   = regexp.MustCompile(`^[1-9][0-9]?`)
	reName     = regexp.MustCompile(`^g<(\w+)>`)
	reControls = map[byte]string{'\\': `\`, 'n': "\n", 't': "\t", 'r': "\r", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v"}
)

// templateEscape reads what stands behind a backslash and returns what is left.
func (p *rePattern) templateEscape(s string) (piece rePiece, rest string, err error) {
	if s == "" {
		return piece, "", fmt.Errorf(`it ends with a lone \; write r"\\" for a backslash`)
	}
	if n := reNumber.FindString(s); n != "" {
		group, err := p.named(n)
		if err != nil && len(n) == 2 {
			err = fmt.Errorf(`%w; write \g<%c>%c for a digit behind a group`, err, n[0], n[1])
		}
		return rePiece{"", group}, s[len(n):], err
	}
	if m := reName.FindStringSubmatch(s); m != nil {
		group, err := p.named(m[1])
		return rePiece{"", group}, s[len(m[0]):], err
	}
	c := s[0]
	switch literal, ok := reControls[c]; {
	case ok:
		return rePiece{literal, -1}, s[1:], nil
	case c == '0':
		return piece, "", fmt.Errorf(`\0 is no group; write \g<0> for the whole match`)
	case c == 'g':
		return piece, "", fmt.Errorf(`\g wants a group; write \g<1> or \g<name>`)
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return piece, "", fmt.Errorf(`\%c is no escape; write \\%c for the two characters`, c, c)
	}
	return rePiece{`\`, -1}, s, nil
}

// textArg is an argument that must be text.
type textArg string

// Unpack takes a string.
func (t *textArg) Unpack(v star.Value) error {
	switch v := v.(type) {
	case star.String:
		*t = textArg(v)
		return nil
	case star.Bytes:
		return fmt.Errorf("got bytes, want text; write str(data)")
	default:
		return fmt.Errorf("got %s, want text; write str(x)", v.Type())
	}
}
