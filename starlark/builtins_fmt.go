// Built-in: fmt, Python's format of one value.

package starlark

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	star "go.starlark.net/starlark"
)

// maxFormat bounds the width and the precision of a format.
const maxFormat = 1_000_000

// The types of a format, by what they need.
const (
	intTypes   = "bcdoxX"
	floatTypes = "eEfFgG%"
)

// format is a specification in Python's Format Specification Mini-Language,
// https://docs.python.org/3/library/string.html#formatspec:
//
//	[[fill]align][sign][z][#][0][width][grouping][.precision][type]
//
// What is not written is 0, the precision -1. Type n is left out: it is about the locale of a machine.
type format struct {
	text      string
	fill      rune
	align     byte // < > = ^
	sign      byte // + - or a blank
	noNegZero bool // z
	alternate bool // #
	width     int
	group     byte // , _
	precision int
	verb      byte
}

// fmtBuiltin is fmt(x, spec), Python's format for ints, floats, text and bools.
func fmtBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var x star.Value
	var spec string
	if err := star.UnpackArgs("fmt", args, kwargs, "x", &x, "spec", &spec); err != nil {
		return nil, err
	}
	out, err := formatted(x, spec)
	if err != nil {
		return nil, fmt.Errorf("fmt: %w", err)
	}
	countBytes(thread, len(out))
	return star.String(out), nil
}

func formatted(x star.Value, spec string) (string, error) {
	if b, ok := x.(star.Bool); ok && spec != "" { // Python's bools are ints, except where nothing is asked for
		x = star.MakeInt(0)
		if b {
			x = star.MakeInt(1)
		}
	}
	switch x := x.(type) {
	case star.Int:
		f, err := parseFormat(spec, "an int", '>', intTypes+floatTypes)
		if err != nil {
			return "", err
		}
		return f.int(x)
	case star.Float:
		f, err := parseFormat(spec, "a float", '>', floatTypes)
		if err != nil {
			return "", err
		}
		return f.float(float64(x)), nil
	case star.String:
		f, err := parseFormat(spec, "text", '<', "s")
		if err != nil {
			return "", err
		}
		return f.string(string(x))
	}
	hint := "write fmt(str(x), ...)"
	if _, ok := x.(moment); ok {
		hint = "write t.format(\"2006-01-02\")"
	}
	if spec != "" {
		return "", fmt.Errorf("%q is for numbers and text, got %s; %s", spec, x.Type(), hint)
	}
	return text(x), nil
}

// parseFormat reads a specification for a kind of value, which is aligned
// that way when nothing else is said and has these types.
func parseFormat(spec, kind string, align byte, types string) (*format, error) {
	f := &format{text: spec, fill: ' ', align: align, precision: -1}
	rest := spec
	take := func(chars string) byte {
		if rest != "" && strings.IndexByte(chars, rest[0]) >= 0 {
			c := rest[0]
			rest = rest[1:]
			return c
		}
		return 0
	}
	fill, n := utf8.DecodeRuneInString(rest)
	aligned := len(rest) > n && strings.IndexByte("<>=^", rest[n]) >= 0
	filled := aligned
	if aligned {
		f.fill, f.align, rest = fill, rest[n], rest[n+1:]
	} else if c := take("<>=^"); c != 0 {
		f.align, aligned = c, true
	}
	f.sign = take("+- ")
	f.noNegZero = take("z") != 0
	f.alternate = take("#") != 0
	if !filled && take("0") != 0 {
		f.fill = '0'
		if !aligned && align == '>' {
			f.align = '='
		}
	}
	var err error
	if f.width, rest, err = f.number(rest, "width", 0); err != nil {
		return nil, err
	}
	f.group = take(",_")
	if take(".") != 0 {
		if f.precision, rest, err = f.number(rest, "precision", -1); err != nil {
			return nil, err
		}
		if f.precision < 0 {
			return nil, f.refuse("a dot is followed by a precision, as in \".2f\"")
		}
	}
	switch _, size := utf8.DecodeRuneInString(rest); {
	case rest == "":
	case len(rest) > size:
		return nil, fmt.Errorf("%q is not a format; write like \".2f\", \",d\", \">10\" or \"05d\"", spec)
	case !strings.Contains(types, rest):
		return nil, f.refuse("%s has no type %s, only %s", kind, rest, strings.Join(strings.Split(types, ""), " "))
	default:
		f.verb = rest[0]
	}
	return f, f.grouping()
}

// number reads the digits that the text begins with; without any it is none.
func (f *format) number(text, what string, none int) (n int, rest string, err error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits == 0 {
		return none, text, nil
	}
	n, err = strconv.Atoi(text[:digits])
	if err != nil || n > maxFormat {
		return 0, "", f.refuse("the %s is at most %d", what, maxFormat)
	}
	return n, text[digits:], nil
}

// grouping refuses separators where there are none.
func (f *format) grouping() error {
	switch {
	case f.group == 0 || f.verb == 0 || f.verb == 'd' || strings.IndexByte(floatTypes, f.verb) >= 0:
		return nil
	case f.group == ',' && strings.IndexByte("boxX", f.verb) >= 0:
		return f.refuse("there are no commas with %c; write _", f.verb)
	case f.group == '_' && strings.IndexByte("boxX", f.verb) >= 0:
		return nil
	}
	return f.refuse("there is no %c with %c", f.group, f.verb)
}

func (f *format) refuse(message string, args ...any) error {
	return fmt.Errorf("%q: %s", f.text, fmt.Sprintf(message, args...))
}

// string formats text; the precision cuts it.
func (f *format) string(s string) (string, error) {
	for _, option := range []struct {
		name  string
		given bool
	}{
		{"sign", f.sign != 0}, {"z", f.noNegZero}, {"#", f.alternate}, {"=", f.align == '='}, {"grouping", f.group != 0},
	} {
		if option.given {
			return "", f.refuse("text takes no %s", option.name)
		}
	}
	if f.precision >= 0 {
		end, runes := 0, 0
		for end < len(s) && runes < f.precision {
			_, n := utf8.DecodeRuneInString(s[end:])
			end += n
			runes++
		}
		s = s[:end]
	}
	left, right := f.padding(utf8.RuneCountInString(s))
	return left + s + right, nil
}

// padding is what stands on both sides of so many characters.
func (f *format) padding(length int) (left, right string) {
	missing := max(f.width-length, 0)
	n := 0
	switch f.align {
	case '>', '=':
		n = missing
	case '^':
		n = missing / 2
	}
	return strings.Repeat(string(f.fill), n), strings.Repeat(string(f.fill), missing-n)
}
