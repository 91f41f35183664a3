// Encoding: values of the language as JSON.

package starlark

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"
)

// The tags of the stored form: an object with one of these as its only key says
// what JSON cannot. A dict that looks like a tag is stored under tagDict.
const (
	tagBytes    = "$bytes"    // base64
	tagTuple    = "$tuple"    // array
	tagSet      = "$set"      // array
	tagTime     = "$time"     // [RFC 3339, zone]
	tagDuration = "$duration" // nanoseconds
	tagDict     = "$dict"     // [[key, value], ...]
	tagStruct   = "$struct"   // object
	tagResult   = "$result"   // {"value": v} or {"error": failure}
	tagError    = "$error"    // failure
)

type form int

const (
	stored    form = iota // tags
	plain                 // what activities, Go and the command line see
	canonical             // tags, sorted keys
)

// maxNesting bounds how deep a value may be nested.
const maxNesting = 1000

// payloadError says why a value cannot be stored, and where in it.
type payloadError struct {
	path string
	what string
}

func (e *payloadError) Error() string {
	if e.path == "" {
		return e.what
	}
	return "at " + e.path + ": " + e.what
}

// Kind is the kind of the failure that it becomes.
func (*payloadError) Kind() string { return "PayloadError" }

// in says where the value is within another one; a long path keeps its outer end.
func (e *payloadError) in(segment string) *payloadError {
	if len(e.path) > 200 {
		e.path = e.path[:strings.LastIndexByte(e.path[:100], '[')+1] + "...]"
	}
	e.path = segment + e.path
	return e
}

// encoder appends values to b.
type encoder struct {
	b     []byte
	form  form
	depth int
	limit int  // stop beyond so many bytes; 0: never
	key   bool // what is written is a key or in a set: two of them must not become one
}

// encodeValue returns a value in a form, refusing more than limit bytes (0: any).
func encodeValue(v star.Value, f form, limit int) ([]byte, *payloadError) {
	e := encoder{form: f, limit: limit}
	if err := e.value(v); err != nil {
		return nil, err
	}
	if e.full() {
		return nil, tooLarge(limit)
	}
	return e.b, nil
}

func tooLarge(limit int) *payloadError {
	return &payloadError{what: fmt.Sprintf("the value is larger than %d bytes", limit)}
}

func (e *encoder) full() bool { return e.limit > 0 && len(e.b) > e.limit }

func (e *encoder) value(v star.Value) *payloadError {
	if e.full() { // a small graph may be an endless tree
		return tooLarge(e.limit)
	}
	switch v := v.(type) {
	case star.NoneType:
		e.b = append(e.b, "null"...)
	case star.Bool:
		e.b = strconv.AppendBool(e.b, bool(v))
	case star.Int:
		if n, ok := v.Int64(); ok {
			e.b = strconv.AppendInt(e.b, n, 10)
		} else {
			e.b = append(e.b, v.String()...)
		}
	case star.Float:
		return e.float(float64(v))
	case star.String:
		if e.key {
			return e.name(string(v))
		}
		e.b = appendString(e.b, string(v))
	case star.Bytes:
		return e.tag(tagBytes, func() *payloadError {
			e.b = appendString(e.b, base64.StdEncoding.EncodeToString([]byte(v)))
			return nil
		})
	case moment:
		return e.time(time.Time(v.Time))
	case startime.Duration:
		if e.form == plain {
			return e.float(time.Duration(v).Seconds())
		}
		return e.tag(tagDuration, func() *payloadError {
			e.b = strconv.AppendInt(e.b, int64(v), 10)
			return nil
		})
	default:
		return e.container(v)
	}
	return nil
}

func (e *encoder) container(v star.Value) *payloadError {
	if e.depth++; e.depth > maxNesting {
		return &payloadError{what: "the value is nested too deep; does it contain itself?"}
	}
	defer func() { e.depth-- }()
	switch v := v.(type) {
	case *star.List:
		return e.sequence(v.Len(), v.Index)
	case star.Tuple:
		return e.tag(tagTuple, func() *payloadError { return e.sequence(len(v), v.Index) })
	case *star.Set:
		return e.tag(tagSet, func() *payloadError { return e.set(v) })
	case *star.Dict:
		return e.dict(v)
	case structure:
		return e.tag(tagStruct, func() *payloadError { return e.fields(v) })
	case *Result:
		return e.tag(tagResult, func() *payloadError { return e.result(v) })
	case *Error:
		if e.form == plain {
			e.failure(v.f)
			return nil
		}
		return e.tag(tagError, func() *payloadError { e.failure(v.f); return nil })
	}
	if _, ok := v.(star.Sequence); ok { // a range, or what elems() returns
		return &payloadError{what: described(v) + " cannot be stored; write list(x)"}
	}
	return &payloadError{what: described(v) + " cannot be stored; pass data instead"}
}

// described is a value that is no data in words.
func described(v star.Value) string {
	switch v := v.(type) {
	case *star.Function:
		return "function " + v.Name() + " (defined at " + v.Position().String() + ")"
	case *star.Builtin:
		return "function " + v.Name()
	case infoValue:
		return v.Type()
	case star.Callable:
		return v.Type() + " " + v.Name()
	}
	return v.Type()
}

func (e *encoder) tag(name string, body func() *payloadError) *payloadError {
	if e.form == plain {
		return body()
	}
	e.b = append(e.b, `{"`...)
	e.b = append(e.b, name...)
	e.b = append(e.b, `":`...)
	if err := body(); err != nil {
		return err
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *encoder) float(f float64) *payloadError {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return &payloadError{what: fmt.Sprintf("%v is not a number that can be stored", f)}
	}
	start := len(e.b)
	e.b = strconv.AppendFloat(e.b, f, 'g', -1, 64)
	for _, c := range e.b[start:] {
		if c == '.' || c == 'e' {
			return nil
		}
	}
	e.b = append(e.b, '.', '0')
	return nil
}

// name writes a text that must come back as it was.
func (e *encoder) name(text string) *payloadError {
	if !utf8.ValidString(text) {
		return &payloadError{what: fmt.Sprintf("%q is not UTF-8", text)}
	}
	e.b = appendString(e.b, text)
	return nil
}

func (e *encoder) time(t time.Time) *payloadError {
	at := t
	if _, offset := t.Zone(); offset%60 != 0 { // as before there were time zones: RFC 3339 has no seconds in it
		at = t.UTC()
	}
	if at.Year() < 0 || at.Year() > 9999 {
		return &payloadError{what: fmt.Sprintf("a time in the year %d cannot be stored, only in 0 to 9999", at.Year())}
	}
	text := at.Format(time.RFC3339Nano)
	return e.tag(tagTime, func() *payloadError {
		if e.form == plain {
			e.b = appendString(e.b, text)
			return nil
		}
		e.b = append(e.b, '[')
		e.b = appendString(e.b, text)
		e.b = append(e.b, ',')
		e.b = appendString(e.b, t.Location().String())
		e.b = append(e.b, ']')
		return nil
	})
}

func (e *encoder) sequence(n int, at func(int) star.Value) *payloadError {
	e.b = append(e.b, '[')
	for i := range n {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		if err := e.value(at(i)); err != nil {
			return err.in("[" + strconv.Itoa(i) + "]")
		}
	}
	e.b = append(e.b, ']')
	return nil
}

func (e *encoder) set(s *star.Set) *payloadError {
	items := make([]star.Value, 0, s.Len())
	for v := range s.Elements() {
		items = append(items, v)
	}
	if e.form == canonical { // sets have no order
		texts := make([]string, len(items))
		for i, v := range items {
			b, err := encodeValue(v, canonical, 0)
			if err != nil {
				return err
			}
			texts[i] = string(b)
		}
		slices.Sort(texts)
		e.b = append(e.b, "["+strings.Join(texts, ",")+"]"...)
		return nil
	}
	defer func(before bool) { e.key = before }(e.key)
	e.key = true
	return e.sequence(len(items), func(i int) star.Value { return items[i] })
}

func (e *encoder) dict(d *star.Dict) *payloadError { return e.object(d.Items()) }

// special tells whether entries are no object that can be read back: it would look like a tag, or has other keys than text.
func special(items []star.Tuple) bool {
	return slices.ContainsFunc(items, func(kv star.Tuple) bool {
		k, ok := kv[0].(star.String)
		return !ok || strings.HasPrefix(string(k), "$")
	})
}

// object writes entries as an object, or as a tag when they are special.
func (e *encoder) object(items []star.Tuple) *payloadError {
	var taken map[string]star.Value
	if special(items) {
		if e.form != plain {
			return e.tag(tagDict, func() *payloadError { return e.pairs(items) })
		}
		taken = make(map[string]star.Value, len(items))
	}
	if e.form == canonical {
		slices.SortFunc(items, func(a, b star.Tuple) int {
			return strings.Compare(string(a[0].(star.String)), string(b[0].(star.String)))
		})
	}
	e.b = append(e.b, '{')
	for i, kv := range items {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		key, ok := kv[0].(star.String)
		if !ok {
			key = star.String(repr(kv[0])) // plain: as Python's str
		}
		if taken != nil {
			if other := taken[string(key)]; other != nil {
				return &payloadError{what: fmt.Sprintf("the keys %s and %s are one in JSON", repr(other), repr(kv[0]))}
			}
			taken[string(key)] = kv[0]
		}
		if err := e.name(string(key)); err != nil {
			return err
		}
		e.b = append(e.b, ':')
		if err := e.value(kv[1]); err != nil {
			return err.in("[" + strconv.Quote(string(key)) + "]")
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *encoder) pairs(items []star.Tuple) *payloadError {
	texts := make([]string, len(items))
	total := 0
	for i, kv := range items {
		inner := encoder{form: e.form, depth: e.depth, limit: e.limit, key: true}
		inner.b = append(inner.b, '[')
		if err := inner.value(kv[0]); err != nil {
			return err.in(fmt.Sprintf(" key %s", repr(kv[0])))
		}
		inner.key = e.key
		inner.b = append(inner.b, ',')
		if err := inner.value(kv[1]); err != nil {
			return err.in("[" + repr(kv[0]) + "]")
		}
		texts[i] = string(append(inner.b, ']'))
		if total += len(texts[i]); e.limit > 0 && total > e.limit {
			return tooLarge(e.limit)
		}
	}
	if e.form == canonical {
		slices.Sort(texts)
	}
	e.b = append(e.b, "["+strings.Join(texts, ",")+"]"...)
	return nil
}

func (e *encoder) fields(s structure) *payloadError {
	items := make([]star.Tuple, 0, s.Len())
	for name, v := range s.Entries() { // sorted
		items = append(items, star.Tuple{star.String(name), v})
	}
	if special(items) {
		return e.object(items)
	}
	e.b = append(e.b, '{')
	for i, kv := range items {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		name := string(kv[0].(star.String))
		if err := e.name(name); err != nil {
			return err
		}
		e.b = append(e.b, ':')
		if err := e.value(kv[1]); err != nil {
			return err.in("." + name)
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *encoder) result(r *Result) *payloadError {
	if e.form == plain {
		e.b = append(e.b, `{"ok":`...)
		e.b = strconv.AppendBool(e.b, r.err == nil)
		e.b = append(e.b, `,"value":`...)
		if err := e.value(r.get()); err != nil {
			return err.in(".value")
		}
		e.b = append(e.b, `,"error":`...)
		if r.err == nil {
			e.b = append(e.b, "null"...)
		} else {
			e.failure(r.err.f)
		}
		e.b = append(e.b, '}')
		return nil
	}
	if r.err != nil {
		e.b = append(e.b, `{"error":`...)
		e.failure(r.err.f)
	} else {
		e.b = append(e.b, `{"value":`...)
		if err := e.value(r.value); err != nil {
			return err.in(".value")
		}
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *encoder) failure(f *Failure) {
	b, err := f.MarshalJSON()
	if err != nil {
		c := *f
		c.Data = nil
		b, _ = c.MarshalJSON()
	}
	if e.form == plain { // its data is in stored form
		if p, err := ToPlain(b); err == nil {
			b = p
		}
	}
	e.b = append(e.b, b...)
}

// appendString appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, s[start:i]...)
			b = utf8.AppendRune(b, r)
			i++
			start = i
			continue
		}
		i += n
	}
	return append(append(b, s[start:]...), '"')
}
