// Decoding: JSON as values of the language, keys in their order.

package starlark

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"

	"github.com/senpuki/senpuki/internal/zones"
)

// decoder reads one JSON text.
type decoder struct {
	s     []byte
	i     int
	tags  bool // objects may be tags
	depth int
}

// decodeStored reads a value in its stored form.
func decodeStored(b []byte) (star.Value, error) { return decode(b, true) }

// decodePlain reads plain JSON.
func decodePlain(b []byte) (star.Value, error) { return decode(b, false) }

func decode(b []byte, tags bool) (star.Value, error) {
	d := decoder{s: b, tags: tags}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	if d.space(); d.i != len(d.s) {
		return nil, d.fail("text after the value")
	}
	return v, nil
}

func (d *decoder) fail(what string) error { return fmt.Errorf("%s at byte %d", what, d.i) }

func (d *decoder) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\n', '\t', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *decoder) peek() byte {
	if d.i < len(d.s) {
		return d.s[d.i]
	}
	return 0
}

func (d *decoder) word(w string) bool {
	if len(d.s)-d.i >= len(w) && string(d.s[d.i:d.i+len(w)]) == w {
		d.i += len(w)
		return true
	}
	return false
}

func (d *decoder) value() (star.Value, error) {
	d.space()
	switch c := d.peek(); {
	case c == '"':
		s, err := d.text()
		return star.String(s), err
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case c == '[':
		return d.array()
	case c == '{':
		return d.object()
	case d.word("null"):
		return star.None, nil
	case d.word("true"):
		return star.True, nil
	case d.word("false"):
		return star.False, nil
	}
	return nil, d.fail("no JSON value")
}

func (d *decoder) digits() bool {
	start := d.i
	for c := d.peek(); c >= '0' && c <= '9'; c = d.peek() {
		d.i++
	}
	return d.i > start
}

func (d *decoder) number() (star.Value, error) {
	start := d.i
	if d.peek() == '-' {
		d.i++
	}
	first := d.i
	if !d.digits() || d.s[first] == '0' && d.i > first+1 {
		return nil, d.fail("bad number")
	}
	float := false
	if d.peek() == '.' {
		float = true
		if d.i++; !d.digits() {
			return nil, d.fail("bad number")
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		float = true
		d.i++
		if c := d.peek(); c == '+' || c == '-' {
			d.i++
		}
		if !d.digits() {
			return nil, d.fail("bad number")
		}
	}
	text := string(d.s[start:d.i])
	if float {
		f, _ := strconv.ParseFloat(text, 64) // out of range: infinite
		return star.Float(f), nil
	}
	if len(text) < 19 {
		n, err := strconv.ParseInt(text, 10, 64)
		return star.MakeInt64(n), err
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, d.fail("bad number")
	}
	return star.MakeBigInt(n), nil
}

func (d *decoder) text() (string, error) {
	if d.peek() != '"' {
		return "", d.fail("no string")
	}
	start := d.i + 1
	for i := start; i < len(d.s); i++ {
		switch c := d.s[i]; {
		case c == '"':
			d.i = i + 1
			return toText(d.s[start:i]), nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			d.i = i
			return "", d.fail("control character in a string")
		}
	}
	return "", d.fail("string without end")
}

// toText makes a string of bytes that should be UTF-8.
func toText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// escaped decodes a string that has escapes.
func (d *decoder) escaped(start int) (string, error) {
	var b []byte
	for i := start; i < len(d.s); {
		c := d.s[i]
		switch {
		case c == '"':
			d.i = i + 1
			return toText(b), nil
		case c < 0x20:
			d.i = i
			return "", d.fail("control character in a string")
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		if i+1 >= len(d.s) {
			break
		}
		if d.s[i+1] == 'u' {
			r, n := unescape(d.s[i:])
			if n == 0 {
				d.i = i
				return "", d.fail("bad escape")
			}
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		j := strings.IndexByte(`"\/bfnrt`, d.s[i+1])
		if j < 0 {
			d.i = i
			return "", d.fail("bad escape")
		}
		b = append(b, "\"\\/\b\f\n\r\t"[j])
		i += 2
	}
	return "", d.fail("string without end")
}

// unescape decodes \uXXXX, or a surrogate pair of two.
func unescape(s []byte) (rune, int) {
	unit := func(s []byte) (rune, bool) {
		if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
		return rune(n), err == nil
	}
	r, ok := unit(s)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := unit(s[6:]); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full, 12
			}
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

// maxDecode bounds the nesting of JSON: a value of maxNesting has up to three levels each.
const maxDecode = 4 * maxNesting

func (d *decoder) enter() error {
	if d.depth++; d.depth > maxDecode {
		return d.fail("nested too deep")
	}
	return nil
}

func (d *decoder) array() (*star.List, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer func() { d.depth-- }()
	d.i++
	var items []star.Value
	if d.space(); d.peek() == ']' {
		d.i++
		return star.NewList(nil), nil
	}
	for {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		d.space()
		switch d.peek() {
		case ',':
			d.i++
		case ']':
			d.i++
			return star.NewList(items), nil
		default:
			return nil, d.fail("no end of array")
		}
	}
}

func (d *decoder) object() (star.Value, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer func() { d.depth-- }()
	d.i++
	dict := star.NewDict(0)
	if d.space(); d.peek() == '}' {
		d.i++
		return dict, nil
	}
	for {
		d.space()
		key, err := d.text()
		if err != nil {
			return nil, err
		}
		if d.space(); d.peek() != ':' {
			return nil, d.fail("no colon")
		}
		d.i++
		if d.tags && strings.HasPrefix(key, "$") && dict.Len() == 0 {
			return d.tagged(key)
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		if err := dict.SetKey(star.String(key), v); err != nil {
			return nil, err
		}
		d.space()
		switch d.peek() {
		case ',':
			d.i++
		case '}':
			d.i++
			return dict, nil
		default:
			return nil, d.fail("no end of object")
		}
	}
}

// tagged reads the rest of an object whose first key begins with "$". What is
// no tag after all (other keys, another body) is an ordinary dict: data that
// others wrote is never a reason to lose a run.
func (d *decoder) tagged(tag string) (star.Value, error) {
	d.space()
	start := d.i
	body, err := d.value()
	if err != nil {
		return nil, err
	}
	raw := d.s[start:d.i]
	if d.space(); d.peek() == '}' {
		d.i++
		if v := untag(tag, body, raw); v != nil {
			return v, nil
		}
		d.i--
	}
	dict := star.NewDict(1)
	for key, v := tag, body; ; {
		if err := dict.SetKey(star.String(key), v); err != nil {
			return nil, err
		}
		d.space()
		switch d.peek() {
		case '}':
			d.i++
			return dict, nil
		case ',':
			d.i++
			d.space()
			if key, err = d.text(); err != nil {
				return nil, err
			}
			if d.space(); d.peek() != ':' {
				return nil, d.fail("no colon")
			}
			d.i++
			if v, err = d.value(); err != nil {
				return nil, err
			}
		default:
			return nil, d.fail("no end of object")
		}
	}
}

// untag makes a value of a tag's body; nil when it is none.
func untag(tag string, body star.Value, raw []byte) star.Value {
	list, _ := body.(*star.List)
	switch tag {
	case tagBytes:
		if s, ok := body.(star.String); ok {
			if b, err := base64.StdEncoding.DecodeString(string(s)); err == nil {
				return star.Bytes(b)
			}
		}
	case tagTuple:
		if list != nil {
			return star.Tuple(elements(list))
		}
	case tagSet:
		return untagSet(list)
	case tagDict:
		return untagDict(list)
	case tagTime:
		return untagTime(list)
	case tagDuration:
		if n, ok := body.(star.Int); ok {
			if ns, ok := n.Int64(); ok {
				return startime.Duration(ns)
			}
		}
	case tagStruct:
		return untagStruct(body)
	case tagError:
		if f := untagFailure(raw); f != nil {
			return &Error{f: f}
		}
	case tagResult:
		return untagResult(body, raw)
	}
	return nil
}

func untagFailure(raw []byte) *Failure {
	f := new(Failure)
	if len(raw) == 0 || raw[0] != '{' || f.UnmarshalJSON(raw) != nil || f.Kind == "" {
		return nil
	}
	return f
}

func untagResult(body star.Value, raw []byte) star.Value {
	dict, ok := body.(*star.Dict)
	if !ok || dict.Len() != 1 {
		return nil
	}
	if v, ok, _ := dict.Get(star.String("value")); ok {
		return &Result{value: v}
	}
	var r struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(raw, &r) != nil {
		return nil
	}
	if f := untagFailure(r.Error); f != nil {
		return &Result{err: &Error{f: f}}
	}
	return nil
}

func untagStruct(body star.Value) star.Value {
	dict, ok := body.(*star.Dict)
	if !ok {
		return nil
	}
	for _, k := range dict.Keys() {
		if _, ok := k.(star.String); !ok {
			return nil
		}
	}
	return structOf(dict.Items())
}

func untagSet(list *star.List) star.Value {
	if list == nil {
		return nil
	}
	set := star.NewSet(list.Len())
	for _, v := range elements(list) {
		if set.Insert(v) != nil {
			return nil
		}
	}
	return set
}

func untagDict(list *star.List) star.Value {
	if list == nil {
		return nil
	}
	dict := star.NewDict(list.Len())
	for _, pair := range elements(list) {
		kv, ok := pair.(*star.List)
		if !ok || kv.Len() != 2 || dict.SetKey(kv.Index(0), kv.Index(1)) != nil {
			return nil
		}
	}
	return dict
}

func untagTime(list *star.List) star.Value {
	if list == nil || list.Len() != 2 {
		return nil
	}
	text, ok1 := list.Index(0).(star.String)
	zone, ok2 := list.Index(1).(star.String)
	t, err := time.ParseInLocation(time.RFC3339Nano, string(text), time.UTC) // never the machine's zone
	if !ok1 || !ok2 || err != nil {
		return nil
	}
	if in, err := zones.Load(string(zone)); err == nil && zone != "" {
		t = t.In(in)
	}
	return momentOf(t)
}

func elements(l *star.List) []star.Value {
	vs := make([]star.Value, l.Len())
	for i := range vs {
		vs[i] = l.Index(i)
	}
	return vs
}

// mayTag reports whether a JSON text may hold a key that begins with "$".
func mayTag(b []byte) bool {
	return bytes.Contains(b, []byte(`"$`)) || bytes.Contains(b, []byte(`"\u0024`))
}

// ToPlain turns a stored value into plain JSON: what activities, Go and the
// command line see. It returns its argument when there is nothing to do.
func ToPlain(b []byte) ([]byte, error) {
	if !mayTag(b) {
		return b, nil
	}
	v, err := decodeStored(b)
	if err != nil {
		return nil, err
	}
	out, perr := encodeValue(v, plain, 0)
	if perr != nil {
		return nil, perr
	}
	return out, nil
}

// FromPlain turns plain JSON into a stored value: objects that look like a tag
// are escaped. It fails when b is not one JSON value, or holds a number that no float is as large as.
func FromPlain(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return []byte("null"), nil
	}
	if !mayTag(b) && !mayOverflow(b) && bytes.Count(b, []byte{'['})+bytes.Count(b, []byte{'{'}) < maxNesting {
		if !json.Valid(b) {
			return nil, fmt.Errorf("not JSON: %.40q", b)
		}
		return Legible(b), nil
	}
	v, err := decodePlain(b)
	if err != nil {
		return nil, err
	}
	out, perr := encodeValue(v, stored, 0)
	if perr != nil {
		return nil, perr
	}
	return out, nil
}

// Canonical is the form of a stored value for hashes and comparisons: the keys
// of dicts and the elements of sets are sorted; 1 and 1.0 stay different.
func Canonical(b []byte) ([]byte, error) {
	v, err := decodeStored(b)
	if err != nil {
		return nil, err
	}
	out, perr := encodeValue(v, canonical, 0)
	if perr != nil {
		return nil, perr
	}
	return out, nil
}
