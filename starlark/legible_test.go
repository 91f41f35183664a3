package starlark_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/senpuki/senpuki/starlark"
)

// What is kept of a text is what scripts read of it.
func TestLegible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"plain"`:                        `"plain"`,
		`"\ud83d"`:                       `"\ufffd"`,
		`"\uD83D"`:                       `"\ufffd"`,
		`["a\ude00\ud83d\ude00b\ud83d"]`: `["a\ufffd\ud83d\ude00b\ufffd"]`,
		`"\ud83d\ud83d\ude00"`:           `"\ufffd\ud83d\ude00"`,
		`"\ud83d\n"`:                     `"\ufffd\n"`,
		`"\\ud83d"`:                      `"\\ud83d"`,
		`"\\\ud83d"`:                     `"\\\ufffd"`,
		`"\uFFFD\u00e9"`:                 `"\ufffd\u00e9"`,
		`{"\ud83d":1}`:                   `{"\ufffd":1}`,
		"\"a\xff\xfeb\"":                 "\"a\uFFFDb\"",
		`"\ud8"`:                         `"\ud8"`, // no JSON, whatever it is
		`"\`:                             `"\`,
	} {
		raw := []byte(in)
		got := starlark.Legible(raw)
		if string(got) != want {
			t.Errorf("%s: %s, not %s", in, got, want)
		}
		stored, err := starlark.FromPlain([]byte(in))
		if json.Valid([]byte(in)) && (err != nil || string(stored) != want) {
			t.Errorf("from plain %s: %s, %v", in, stored, err)
		}
		if string(raw) != in {
			t.Errorf("%s was changed to %s", in, raw)
		}
		var a, b any
		if json.Unmarshal([]byte(in), &a) == nil && utf8.ValidString(in) && (json.Unmarshal(got, &b) != nil || !reflect.DeepEqual(a, b)) {
			t.Errorf("%s reads as %v, before as %v", got, b, a)
		}
	}
}
