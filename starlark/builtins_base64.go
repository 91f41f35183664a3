// Built-ins: the base64 module.

package starlark

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// base64Module has Python's names. What is decoded must be base64 throughout, line breaks aside.
func base64Module() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "base64", Members: star.StringDict{}}
	for name, c := range map[string]struct {
		encoding *base64.Encoding
		fn       func(string, *base64.Encoding) *star.Builtin
	}{
		"b64encode":         {base64.StdEncoding, encodeBase64},
		"b64decode":         {base64.StdEncoding, decodeBase64},
		"urlsafe_b64encode": {base64.URLEncoding, encodeBase64},
		"urlsafe_b64decode": {base64.URLEncoding, decodeBase64},
		"encode":            {base64.StdEncoding, encodeBase64},
		"decode":            {base64.StdEncoding, decodeBase64},
	} {
		m.Members[name] = c.fn("base64."+name, c.encoding)
	}
	return m
}

func encodeBase64(what string, encoding *base64.Encoding) *star.Builtin {
	return method(what, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var s dataArg
		if err := star.UnpackArgs(what, args, renamed(kwargs, "x", "s"), "s", &s); err != nil {
			return nil, err
		}
		countBytes(thread, len(s))
		return star.String(encoding.EncodeToString([]byte(s))), nil
	})
}

func decodeBase64(what string, encoding *base64.Encoding) *star.Builtin {
	return method(what, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var s dataArg
		if err := star.UnpackArgs(what, args, renamed(kwargs, "text", "s"), "s", &s); err != nil {
			return nil, err
		}
		countBytes(thread, len(s))
		b, err := encoding.DecodeString(string(s))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, badBase64(string(s), encoding, err))
		}
		return star.Bytes(b), nil
	})
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"

// badBase64 says what is wrong with a text, and what to write.
func badBase64(s string, encoding *base64.Encoding, err error) error {
	digits := strings.NewReplacer("\r", "", "\n", "").Replace(s)
	foreign := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(base64Digits+"=\r\n", r) })
	switch {
	case encoding == base64.StdEncoding && strings.ContainsAny(s, "-_"):
		return fmt.Errorf("- and _ are of the other alphabet; write base64.urlsafe_b64decode(s)")
	case encoding == base64.URLEncoding && strings.ContainsAny(s, "+/"):
		return fmt.Errorf("+ and / are of the other alphabet; write base64.b64decode(s)")
	case foreign >= 0:
		_, n := utf8.DecodeRuneInString(s[foreign:])
		return fmt.Errorf("byte %d, %s, does not belong there", foreign, star.String(s[foreign:foreign+n]))
	case len(digits)%4 == 1 && !strings.Contains(digits, "="):
		return fmt.Errorf("the text ends too early")
	case len(digits)%4 > 1 && !strings.Contains(digits, "="):
		return fmt.Errorf("the padding is missing; write s + \"=\" * (-len(s) %% 4)")
	}
	at, ok := err.(base64.CorruptInputError)
	if !ok || int(at) >= len(s) {
		return fmt.Errorf("the text ends too early")
	}
	return fmt.Errorf("byte %d, %s, does not belong there", at, star.String(s[at:at+1]))
}

// dataArg is an argument that may be text or bytes.
type dataArg string

// Unpack takes a string, or bytes.
func (d *dataArg) Unpack(v star.Value) error {
	switch v := v.(type) {
	case star.String:
		*d = dataArg(v)
	case star.Bytes:
		*d = dataArg(v)
	default:
		return fmt.Errorf("got %s, want text or bytes; write str(x) or json.encode(x)", v.Type())
	}
	return nil
}
