// Plain JSON that comes from elsewhere: what of it nobody could read back is refused or made legible.

package starlark

import (
	"bytes"
	"unicode/utf8"
)

// mayOverflow reports whether a JSON text may hold a number that no float is as large as: one with three digits
// of exponent. One that has as many digits without an exponent is not looked for.
func mayOverflow(b []byte) bool {
	for _, e := range []byte{'e', 'E'} {
		for i := 0; ; i++ {
			n := bytes.IndexByte(b[i:], e)
			if n < 0 {
				break
			}
			i += n
			rest := bytes.TrimPrefix(b[i+1:], []byte{'+'})
			if i > 0 && isDigit(b[i-1]) && len(rest) > 2 && isDigit(rest[0]) && isDigit(rest[1]) && isDigit(rest[2]) {
				return true
			}
		}
	}
	return false
}

// Legible is JSON with U+FFFD for what scripts read as that, halves of surrogate pairs and bytes that are not UTF-8: others
// refuse them. It returns its argument when there is nothing to do.
func Legible(b []byte) []byte {
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	if !bytes.Contains(b, []byte(`\u`)) {
		return b
	}
	const replacement = `\ufffd`
	copied := false
	for i := 0; i < len(b); {
		j := bytes.IndexByte(b[i:], '\\')
		if j < 0 {
			break
		}
		i += j
		r, n := unescape(b[i:])
		if n == len(replacement) && r == utf8.RuneError && !bytes.HasPrefix(b[i:], []byte(replacement)) {
			if !copied {
				b, copied = bytes.Clone(b), true
			}
			copy(b[i:], replacement)
		}
		i += max(n, 2) // any other escape is of one character
	}
	return b
}
