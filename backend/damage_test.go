package backend_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// What is wrong with a column, and at which byte, counted from 0.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{``, "column c: unexpected end of JSON input at byte 0"},
		{`[1`, "column c: unexpected end of JSON input at byte 2"},
		{`[}`, "column c: invalid character '}' looking for beginning of value at byte 1"},
		{`[1}]`, "column c: invalid character '}' after array element at byte 2"},
		{`[]]`, "column c: invalid character ']' after top-level value at byte 2"},
		{`{"a":tru}`, "column c: invalid character '}' in literal true (expecting 'e') at byte 8"},
		{`5`, "column c: a number before byte 1 is not what has to be there"},
		{`[{}]`, "column c: an object before byte 2 is not what has to be there"},
	} {
		if got := backend.Unreadable("c", json.Unmarshal([]byte(c.text), new([]int))); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
	if got := backend.Unreadable("c", errors.New("odd")); got != "column c: odd" {
		t.Error(got)
	}
}
