// Finding the parts of a JSON value without decoding them.

package activities

import (
	"encoding/json"
	"errors"
	"fmt"
)

// The scanner finds where a value ends; whether it is well formed is for whoever decodes
// the part. Between the parts it is strict.

var errTruncated = errors.New("JSON ends too early")

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func skipBlank(b []byte, i int) int {
	for i < len(b) && blank(b[i]) {
		i++
	}
	return i
}

// skipString returns the index after the string that begins at i.
func skipString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
		}
	}
	return i, errTruncated
}

// skipValue returns the index after the value that begins at i.
func skipValue(b []byte, i int) (int, error) {
	if i >= len(b) {
		return i, errTruncated
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				end, err := skipString(b, i)
				if err != nil {
					return end, err
				}
				i = end
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i, nil
			}
		}
		return i, errTruncated
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != ']' && b[i] != '}' && b[i] != ':' && !blank(b[i]) {
		i++
	}
	if i == start {
		return i, fmt.Errorf("JSON has %q where a value should be", b[i])
	}
	return i, nil
}

// elements appends the elements of a JSON array to into.
func elements(b []byte, into [][]byte) ([][]byte, error) {
	err := parts(b, '[', ']', func(_, value []byte) error {
		into = append(into, value)
		return nil
	})
	return into, err
}

// members calls each for every member of a JSON object, in order.
func members(b []byte, each func(key string, value []byte) error) error {
	return parts(b, '{', '}', func(rawKey, value []byte) error {
		key, err := unquote(rawKey)
		if err != nil {
			return err
		}
		return each(key, value)
	})
}

// parts walks over an array or object.
func parts(b []byte, open, closing byte, each func(key, value []byte) error) error {
	i := skipBlank(b, 0)
	if i >= len(b) || b[i] != open {
		return fmt.Errorf("JSON should begin with %q", open)
	}
	i = skipBlank(b, i+1)
	if i < len(b) && b[i] == closing {
		return onlyBlank(b, i+1)
	}
	for {
		var key []byte
		if open == '{' {
			if i >= len(b) || b[i] != '"' {
				return errors.New("JSON object without a key")
			}
			end, err := skipString(b, i)
			if err != nil {
				return err
			}
			key, i = b[i:end], skipBlank(b, end)
			if i >= len(b) || b[i] != ':' {
				return errors.New("JSON key without a value")
			}
			i = skipBlank(b, i+1)
		}
		end, err := skipValue(b, i)
		if err != nil {
			return err
		}
		if err := each(key, b[i:end]); err != nil {
			return err
		}
		i = skipBlank(b, end)
		if i >= len(b) {
			return errTruncated
		}
		switch b[i] {
		case ',':
			i = skipBlank(b, i+1)
		case closing:
			return onlyBlank(b, i+1)
		default:
			return fmt.Errorf("JSON has %q between two values", b[i])
		}
	}
}

func onlyBlank(b []byte, i int) error {
	if i = skipBlank(b, i); i < len(b) {
		return fmt.Errorf("JSON has %q after its end", b[i])
	}
	return nil
}

// unquote decodes a JSON string.
func unquote(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", errors.New("not a JSON string")
	}
	simple := true
	for _, c := range raw[1 : len(raw)-1] {
		if c == '\\' || c == '"' || c < ' ' || c >= 0x80 {
			simple = false
			break
		}
	}
	if simple {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}
