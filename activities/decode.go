// Decoders from plain JSON to Go values, compiled once per parameter type.

package activities

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Decoding is stricter than encoding/json where that would guess: null is refused for
// what cannot be nil, a float is no int, and a number in an any is an int64
// when it is an integer that fits, a json.Number when it is a larger
// integer, a float64 otherwise. time.Duration is text ("1h 30m") or seconds.

// decodeFunc stores the decoded value in dst. Its error is a *mismatch.
type decodeFunc func(raw []byte, dst reflect.Value) error

// mismatch is a value that does not fit a type.
type mismatch struct {
	path string // inside the argument, "" for itself
	want string
	got  []byte
	note string
}

func (m *mismatch) Error() string {
	text := fmt.Sprintf("wants %s, got %s", m.want, show(m.got))
	if m.note != "" {
		text += " (" + m.note + ")"
	}
	return text
}

// at puts a step in front of the path of a mismatch.
func at(step string, err error) error {
	var m *mismatch
	if errors.As(err, &m) {
		if m.path != "" && m.path[0] != '[' {
			step += "."
		}
		m.path = step + m.path
	}
	return err
}

// show renders a value for a message: as a script would write its
// constants, cut when long.
func show(raw []byte) string {
	switch string(raw) {
	case "null":
		return "None"
	case "true":
		return "True"
	case "false":
		return "False"
	}
	const most = 60
	text := []rune(string(raw[:min(len(raw), 4*most)]))
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

func isNull(raw []byte) bool { return string(raw) == "null" }

func wants(t reflect.Type, word string) func(raw []byte, note string) error {
	if word == "" {
		word = typeWord(t)
	}
	return func(raw []byte, note string) error { return &mismatch{want: word, got: raw, note: note} }
}

func decodeInt(t reflect.Type) decodeFunc {
	no := wants(t, "")
	bits := t.Bits()
	return func(raw []byte, dst reflect.Value) error {
		if !integer(raw) {
			return no(raw, "")
		}
		n, err := strconv.ParseInt(string(raw), 10, bits)
		if err != nil {
			return no(raw, "out of range")
		}
		dst.SetInt(n)
		return nil
	}
}

func decodeUint(t reflect.Type) decodeFunc {
	no := wants(t, "")
	bits := t.Bits()
	return func(raw []byte, dst reflect.Value) error {
		if !integer(raw) {
			return no(raw, "")
		}
		n, err := strconv.ParseUint(string(raw), 10, bits)
		if err != nil {
			return no(raw, "out of range")
		}
		dst.SetUint(n)
		return nil
	}
}

func decodeFloat(t reflect.Type) decodeFunc {
	no := wants(t, "")
	bits := t.Bits()
	return func(raw []byte, dst reflect.Value) error {
		if !number(raw) {
			return no(raw, "")
		}
		f, err := strconv.ParseFloat(string(raw), bits)
		if err != nil {
			return no(raw, "out of range")
		}
		dst.SetFloat(f)
		return nil
	}
}

func decodeString(t reflect.Type) decodeFunc {
	no := wants(t, "")
	return func(raw []byte, dst reflect.Value) error {
		s, err := unquote(raw)
		if err != nil {
			return no(raw, "")
		}
		dst.SetString(s)
		return nil
	}
}

func decodeBool(t reflect.Type) decodeFunc {
	no := wants(t, "")
	return func(raw []byte, dst reflect.Value) error {
		switch string(raw) {
		case "true":
			dst.SetBool(true)
		case "false":
			dst.SetBool(false)
		default:
			return no(raw, "")
		}
		return nil
	}
}

func decodeRaw(raw []byte, dst reflect.Value) error {
	if !json.Valid(raw) {
		return &mismatch{want: "JSON", got: raw}
	}
	dst.SetBytes(bytes.Clone(raw))
	return nil
}

func decodeBytes(t reflect.Type) decodeFunc {
	no := wants(t, "bytes in base64")
	return func(raw []byte, dst reflect.Value) error {
		if isNull(raw) {
			dst.SetZero()
			return nil
		}
		s, err := unquote(raw)
		if err != nil {
			return no(raw, "")
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return no(raw, "")
		}
		dst.SetBytes(b)
		return nil
	}
}

func decodeTime(raw []byte, dst reflect.Value) error {
	no := wants(nil, "a time such as \"2006-01-02T15:04:05Z\"")
	s, err := unquote(raw)
	if err != nil {
		return no(raw, "")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return no(raw, "")
	}
	dst.Set(reflect.ValueOf(t))
	return nil
}

func decodeDuration(raw []byte, dst reflect.Value) error {
	no := wants(nil, "a duration (seconds, or text such as \"1h 30m\")")
	var d time.Duration
	s, err := unquote(raw)
	if err == nil {
		d, err = ParseDuration(s)
	} else if number(raw) {
		var seconds float64
		if seconds, err = strconv.ParseFloat(string(raw), 64); err == nil {
			d, err = secondsDuration(seconds)
		}
	}
	if err != nil {
		return no(raw, "")
	}
	dst.SetInt(int64(d))
	return nil
}

func decodeNumber(raw []byte, dst reflect.Value) error {
	if !number(raw) {
		return &mismatch{want: "a number", got: raw}
	}
	dst.SetString(string(raw))
	return nil
}

func decodeAny(raw []byte, dst reflect.Value) error {
	v, err := anyValue(raw)
	if err != nil {
		return &mismatch{want: "JSON", got: raw}
	}
	if v == nil {
		dst.SetZero()
		return nil
	}
	dst.Set(reflect.ValueOf(v))
	return nil
}

func anyValue(raw []byte) (any, error) {
	if len(raw) == 0 {
		return nil, errTruncated
	}
	switch raw[0] {
	case '"':
		return unquote(raw)
	case '{', '[':
		// Not by the scanner: it would read what is nested once per level.
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		return exactNumbers(v), nil
	}
	switch string(raw) {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	if !number(raw) {
		return nil, errors.New("not JSON")
	}
	return exactNumber(json.Number(raw)), nil
}

func exactNumber(n json.Number) any {
	if integer([]byte(n)) {
		if i, err := n.Int64(); err == nil {
			return i
		}
		return n
	}
	if f, err := n.Float64(); err == nil {
		return f
	}
	return n
}

func exactNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return exactNumber(v)
	case []any:
		for i := range v {
			v[i] = exactNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exactNumbers(v[k])
		}
	}
	return v
}

// decodeUnmarshaler leaves a value to encoding/json: types with methods of their own.
func decodeUnmarshaler(t reflect.Type) decodeFunc {
	no := wants(t, "")
	nullable := reflect.PointerTo(t).Implements(unmarshalerType) || t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
	return func(raw []byte, dst reflect.Value) error {
		if isNull(raw) && !nullable {
			return no(raw, "")
		}
		err := json.Unmarshal(raw, dst.Addr().Interface())
		if err == nil {
			return nil
		}
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return &mismatch{path: wrong.Field, want: typeWord(wrong.Type), got: []byte(wrong.Value)}
		}
		return no(raw, err.Error())
	}
}

// integer tells whether raw is a JSON number without fraction and exponent.
func integer(raw []byte) bool {
	if len(raw) > 0 && raw[0] == '-' {
		raw = raw[1:]
	}
	if len(raw) == 0 || raw[0] == '0' && len(raw) > 1 {
		return false
	}
	return digits(raw) == len(raw)
}

// number tells whether raw is a JSON number.
func number(raw []byte) bool {
	if len(raw) > 0 && raw[0] == '-' {
		raw = raw[1:]
	}
	n := digits(raw)
	if n == 0 || n > 1 && raw[0] == '0' {
		return false
	}
	raw = raw[n:]
	if len(raw) > 0 && raw[0] == '.' {
		n = digits(raw[1:])
		if n == 0 {
			return false
		}
		raw = raw[1+n:]
	}
	if len(raw) > 0 && (raw[0] == 'e' || raw[0] == 'E') {
		raw = raw[1:]
		if len(raw) > 0 && (raw[0] == '+' || raw[0] == '-') {
			raw = raw[1:]
		}
		n = digits(raw)
		if n == 0 {
			return false
		}
		raw = raw[n:]
	}
	return len(raw) == 0
}

func digits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}
