// The built-in fmt: numbers.

package starlark

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	star "go.starlark.net/starlark"
)

// int formats an int of any size.
func (f *format) int(i star.Int) (string, error) {
	if f.verb != 0 && strings.IndexByte(floatTypes, f.verb) >= 0 {
		x := float64(i.Float())
		if math.IsInf(x, 0) {
			return "", f.refuse("the int is too large for a float")
		}
		return f.float(x), nil
	}
	switch {
	case f.precision >= 0:
		return "", f.refuse("an int has no precision; write f or e behind it")
	case f.noNegZero:
		return "", f.refuse("an int takes no z")
	}
	if f.verb == 'c' {
		return f.character(i)
	}
	base, prefix := 10, ""
	switch f.verb {
	case 'b':
		base, prefix = 2, "0b"
	case 'o':
		base, prefix = 8, "0o"
	case 'x':
		base, prefix = 16, "0x"
	case 'X':
		base, prefix = 16, "0X"
	}
	if !f.alternate {
		prefix = ""
	}
	digits, negative := strings.CutPrefix(i.BigInt().Text(base), "-")
	if f.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	return f.assemble(negative, prefix, digits, ""), nil
}

// character is the one that has this number.
func (f *format) character(i star.Int) (string, error) {
	if f.sign != 0 || f.alternate {
		return "", f.refuse("a character takes neither sign nor #")
	}
	n, ok := i.Int64()
	if !ok || n < 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return "", f.refuse("no character has the number %s", i)
	}
	return f.assemble(false, "", "", string(rune(n))), nil
}

// float formats a float.
func (f *format) float(x float64) string {
	percent := ""
	if f.verb == '%' {
		percent = "%"
		x *= 100
	}
	negative := math.Signbit(x) && !math.IsNaN(x)
	x = math.Abs(x)
	if math.IsInf(x, 0) || math.IsNaN(x) {
		word := strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(x, 'f', -1, 64)), "+")
		return f.assemble(negative, "", "", f.cased(word)+percent)
	}
	whole, fraction, exponent := f.floatParts(x)
	if f.noNegZero && strings.Trim(whole+fraction, "0") == "" {
		negative = false
	}
	if fraction != "" || f.alternate {
		fraction = "." + fraction
	}
	return f.assemble(negative, "", whole, fraction+f.cased(exponent)+percent)
}

// cased is a word as the types E F G show it.
func (f *format) cased(word string) string {
	if f.verb == 'E' || f.verb == 'F' || f.verb == 'G' {
		return strings.ToUpper(word)
	}
	return word
}

// floatParts are the digits of a float that is not negative, on both sides of the point, and its exponent.
func (f *format) floatParts(x float64) (whole, fraction, exponent string) {
	precision := f.precision
	if precision < 0 && f.verb != 0 {
		precision = 6
	}
	switch f.verb {
	case 'f', 'F', '%':
		whole, fraction, _ = strings.Cut(strconv.FormatFloat(x, 'f', precision, 64), ".")
		return whole, fraction, ""
	case 'e', 'E':
		return scientific(x, precision)
	}
	return f.generalParts(x, precision)
}

// scientific are the parts of a float in scientific notation; precision -1: as many digits as it needs.
func scientific(x float64, precision int) (whole, fraction, exponent string) {
	text := strconv.FormatFloat(x, 'e', precision, 64)
	e := strings.IndexByte(text, 'e')
	whole, fraction, _ = strings.Cut(text[:e], ".")
	return whole, fraction, text[e:]
}

// generalParts are those of g, G and no type, which choose the notation as Python
// does. Without a type a fixed point has a digit behind it, and without a precision all digits are shown.
func (f *format) generalParts(x float64, precision int) (whole, fraction, exponent string) {
	digits := max(precision, 1)
	whole, fraction, exponent = scientific(x, digits-1)
	widest := digits // the most digits in front of a fixed point
	switch {
	case precision < 0:
		whole, fraction, exponent = scientific(x, -1)
		widest = 16
	case f.verb == 0:
		widest--
	}
	if !f.alternate || precision < 0 {
		fraction = strings.TrimRight(fraction, "0")
	}
	power, _ := strconv.Atoi(exponent[1:])
	if power < -4 || power >= widest {
		return whole, fraction, exponent
	}
	all := whole + fraction
	switch point := power + 1; {
	case point <= 0:
		whole, fraction = "0", strings.Repeat("0", -point)+all
	case point >= len(all):
		whole, fraction = all+strings.Repeat("0", point-len(all)), ""
	default:
		whole, fraction = all[:point], all[point:]
	}
	if f.verb == 0 && fraction == "" {
		fraction = "0"
	}
	return whole, fraction, ""
}

// assemble puts a number together: digits are what is grouped, rest is what follows them.
func (f *format) assemble(negative bool, prefix, digits, rest string) string {
	sign := ""
	switch {
	case negative:
		sign = "-"
	case f.sign == '+' || f.sign == ' ':
		sign = string(f.sign)
	}
	others := len(sign) + len(prefix) + utf8.RuneCountInString(rest)
	if digits != "" {
		least := 0
		if f.fill == '0' && f.align == '=' { // zeros are grouped, too
			least = f.width - others
		}
		digits = f.grouped(digits, least)
	}
	left, right := f.padding(others + len(digits))
	if f.align == '=' {
		return sign + prefix + left + digits + rest
	}
	return left + sign + prefix + digits + rest + right
}

// grouped puts separators between digits, and zeros before them until there are at least so many
// characters; there is one more where a separator would come first.
func (f *format) grouped(digits string, least int) string {
	if f.group == 0 {
		return strings.Repeat("0", max(least-len(digits), 0)) + digits
	}
	size := 3
	if f.verb != 0 && strings.IndexByte("boxX", f.verb) >= 0 {
		size = 4
	}
	separators := func(n int) int { return (n - 1) / size }
	n := len(digits)
	if missing := least - n - separators(n); missing > 0 {
		n = least - least/(size+1) // of size+1 characters one is a separator
		if least%(size+1) == 0 {
			n++
		}
		digits = strings.Repeat("0", n-len(digits)) + digits
	}
	var b strings.Builder
	b.Grow(n + separators(n))
	first := (n-1)%size + 1
	b.WriteString(digits[:first])
	for i := first; i < n; i += size {
		b.WriteByte(f.group)
		b.WriteString(digits[i : i+size])
	}
	return b.String()
}
