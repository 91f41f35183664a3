// Choosing and composing the decoder of a Go type.

package activities

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	rawType         = reflect.TypeFor[json.RawMessage]()
	numberType      = reflect.TypeFor[json.Number]()
	timeType        = reflect.TypeFor[time.Time]()
	durationType    = reflect.TypeFor[time.Duration]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
	marshalerType   = reflect.TypeFor[json.Marshaler]()
	textOutType     = reflect.TypeFor[encoding.TextMarshaler]()
)

// field is a member of a struct as JSON knows it.
type field struct {
	name     string
	index    []int
	word     string
	tagged   bool // a name of its own; else its Go name, whose case does not matter
	optional bool // omitempty, omitzero or a pointer
	decode   decodeFunc
}

// set decodes raw into the field of the struct v.
func (f *field) set(raw []byte, v reflect.Value) error {
	for _, i := range f.index[:len(f.index)-1] {
		v = v.Field(i)
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
	}
	return f.decode(raw, v.Field(f.index[len(f.index)-1]))
}

type fields []*field

func (fs fields) lookup(name string) *field {
	for _, f := range fs {
		if f.name == name {
			return f
		}
	}
	for _, f := range fs {
		if !f.tagged && strings.EqualFold(f.name, name) {
			return f
		}
	}
	return nil
}

// compiler composes decoders; open holds the types that it is within, so that a recursive type ends: where such a
// type comes again, its decoder, which is not complete yet, is looked up when it is called.
type compiler struct {
	open map[reflect.Type]*decodeFunc
}

func compile(t reflect.Type) (decodeFunc, error) {
	c := compiler{open: map[reflect.Type]*decodeFunc{}}
	return c.compile(t)
}

// ownDecoding tells whether values of t decode themselves.
func ownDecoding(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && (p.Implements(unmarshalerType) || p.Implements(textType))
}

func (c *compiler) compile(t reflect.Type) (decodeFunc, error) {
	switch t {
	case rawType:
		return decodeRaw, nil
	case numberType:
		return decodeNumber, nil
	case timeType:
		return decodeTime, nil
	case durationType:
		return decodeDuration, nil
	}
	if ownDecoding(t) {
		return decodeUnmarshaler(t), nil
	}
	if again, within := c.open[t]; within {
		return func(raw []byte, dst reflect.Value) error { return (*again)(raw, dst) }, nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return decodeBool(t), nil
	case reflect.String:
		return decodeString(t), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return decodeInt(t), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return decodeUint(t), nil
	case reflect.Float32, reflect.Float64:
		return decodeFloat(t), nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return decodeAny, nil
		}
		return nil, fmt.Errorf("nothing says which type a %s is; use any or a concrete type", t)
	}
	whole := new(decodeFunc)
	c.open[t] = whole
	defer delete(c.open, t)
	var err error
	*whole, err = c.composed(t)
	return *whole, err
}

// composed is compile of a type that is made of others.
func (c *compiler) composed(t reflect.Type) (decodeFunc, error) {
	switch t.Kind() {
	case reflect.Pointer:
		return c.pointer(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !ownDecoding(t.Elem()) {
			return decodeBytes(t), nil
		}
		return c.slice(t)
	case reflect.Array:
		return c.slice(t)
	case reflect.Map:
		return c.mapping(t)
	case reflect.Struct:
		fs, err := c.fields(t)
		if err != nil {
			return nil, err
		}
		return decodeStruct(t, fs), nil
	}
	return nil, fmt.Errorf("JSON has no %s", t)
}

func (c *compiler) pointer(t reflect.Type) (decodeFunc, error) {
	elem, err := c.compile(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(raw []byte, dst reflect.Value) error {
		if isNull(raw) {
			dst.SetZero()
			return nil
		}
		v := reflect.New(t.Elem())
		if err := elem(raw, v.Elem()); err != nil {
			return err
		}
		dst.Set(v)
		return nil
	}, nil
}

func (c *compiler) slice(t reflect.Type) (decodeFunc, error) {
	elem, err := c.compile(t.Elem())
	if err != nil {
		return nil, err
	}
	no := wants(t, "")
	return func(raw []byte, dst reflect.Value) error {
		array := t.Kind() == reflect.Array
		if isNull(raw) && !array {
			dst.SetZero()
			return nil
		}
		items, err := elements(raw, nil)
		if err != nil {
			return no(raw, "")
		}
		if array && len(items) != t.Len() {
			return no(raw, fmt.Sprintf("%d elements", len(items)))
		}
		if !array {
			dst.Set(reflect.MakeSlice(t, len(items), len(items)))
		}
		for i, item := range items {
			if err := elem(item, dst.Index(i)); err != nil {
				return at("["+strconv.Itoa(i)+"]", err)
			}
		}
		return nil
	}, nil
}

func (c *compiler) mapping(t reflect.Type) (decodeFunc, error) {
	key, err := mapKey(t.Key())
	if err != nil {
		return nil, err
	}
	elem, err := c.compile(t.Elem())
	if err != nil {
		return nil, err
	}
	no := wants(t, "")
	return func(raw []byte, dst reflect.Value) error {
		if isNull(raw) {
			dst.SetZero()
			return nil
		}
		m := reflect.MakeMap(t)
		err := members(raw, func(name string, value []byte) error {
			k, v := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if err := key(name, k); err != nil {
				return err
			}
			if err := elem(value, v); err != nil {
				return at("["+strconv.Quote(name)+"]", err)
			}
			m.SetMapIndex(k, v)
			return nil
		})
		if err != nil {
			if _, ok := errors.AsType[*mismatch](err); ok {
				return err
			}
			return no(raw, "")
		}
		dst.Set(m)
		return nil
	}, nil
}

func mapKey(t reflect.Type) (func(name string, dst reflect.Value) error, error) {
	if reflect.PointerTo(t).Implements(textType) {
		return func(name string, dst reflect.Value) error {
			if err := dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(name)); err != nil {
				return &mismatch{want: typeWord(t) + " as key", got: []byte(strconv.Quote(name)), note: err.Error()}
			}
			return nil
		}, nil
	}
	var inner decodeFunc
	switch t.Kind() {
	case reflect.String:
		return func(name string, dst reflect.Value) error { dst.SetString(name); return nil }, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		inner = decodeInt(t)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		inner = decodeUint(t)
	default:
		return nil, fmt.Errorf("JSON has no map with keys of type %s", t)
	}
	return func(name string, dst reflect.Value) error {
		if inner([]byte(name), dst) != nil {
			return &mismatch{want: typeWord(t) + " as key", got: []byte(strconv.Quote(name))}
		}
		return nil
	}, nil
}

// decodeStruct ignores members that the struct does not have and leaves
// fields that are missing zero, as encoding/json does.
func decodeStruct(t reflect.Type, fs fields) decodeFunc {
	no := wants(t, "")
	return func(raw []byte, dst reflect.Value) error {
		dst.SetZero()
		err := members(raw, func(name string, value []byte) error {
			f := fs.lookup(name)
			if f == nil {
				if !json.Valid(value) {
					return errTruncated
				}
				return nil
			}
			if err := f.set(value, dst); err != nil {
				return at(f.name, err)
			}
			return nil
		})
		if err != nil {
			if _, ok := errors.AsType[*mismatch](err); ok {
				return err
			}
			return no(raw, "")
		}
		return nil
	}
}

// fields lists the members of a struct; those of embedded structs are its own.
func (c *compiler) fields(t reflect.Type) (fields, error) {
	found, hidden := promoted(t)
	var out fields
	for _, m := range found {
		f := &field{name: m.name, index: m.index, word: typeWord(m.typ), tagged: m.tagged, optional: m.typ.Kind() == reflect.Pointer}
		var err error
		if f.decode, err = c.compile(m.typ); err != nil {
			return nil, fmt.Errorf("field %s: %w", m.goName, err)
		}
		for option := range strings.SplitSeq(m.options, ",") {
			switch option {
			case "omitempty", "omitzero":
				f.optional = true
			case "string":
				f.decode = quoted(m.typ, f.decode)
			}
		}
		out = append(out, f)
	}
	if len(out) == 0 && hidden {
		return nil, fmt.Errorf("%s has no exported fields", t)
	}
	return out, nil
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// quoted decodes a field with the option "string": its JSON is inside a string.
func quoted(t reflect.Type, inner decodeFunc) decodeFunc {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64, reflect.String:
	default:
		return inner
	}
	no := wants(t, typeWord(t)+" as text")
	return func(raw []byte, dst reflect.Value) error {
		s, err := unquote(raw)
		if err != nil || inner([]byte(s), dst) != nil {
			return no(raw, "")
		}
		return nil
	}
}

// typeWord names a type in messages and signatures: without its package.
func typeWord(t reflect.Type) string {
	switch t {
	case rawType:
		return "json"
	case numberType:
		return "number"
	case timeType:
		return "time"
	case durationType:
		return "duration"
	case shellCommandType:
		return "command"
	}
	if t.Name() != "" {
		return t.Name()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWord(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + typeWord(t.Elem())
	case reflect.Array:
		return "[" + strconv.Itoa(t.Len()) + "]" + typeWord(t.Elem())
	case reflect.Map:
		return "map[" + typeWord(t.Key()) + "]" + typeWord(t.Elem())
	case reflect.Interface:
		return "any"
	case reflect.Struct:
		return "struct"
	}
	return t.String()
}
