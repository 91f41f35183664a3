// What the top of a file makes is shared by all executions, and frozen with all that it holds.

package starlark_test

import (
	"strings"
	"testing"
)

func TestWhatValuesHoldIsFrozen(t *testing.T) {
	t.Parallel()
	const file = `
def counting():
    seen = []
    def count(x = None):
        seen.append(x)
        return str(len(seen))
    return count

keyed = activity("echo", key = counting())
call = activity("echo", key = counting())
start, attempted, options = keyed.start, keyed.attempt, keyed.options
bound = bind(counting(), 1)
mapped = Ok(counting()).map
value = Ok([]).unwrap
other = Ok([]).unwrap_or
whole = Ok(Ok([])).only
`
	for _, call := range []string{
		"call(1)",
		"start(1)",
		"attempted(1).unwrap()",
		"options(queue = \"q\")(1)",
		"bound()",
		"mapped(lambda f: f())",
		"value().append(1)",
		"other(1).append(1)",
		"whole(\"K\").value.unwrap().append(1)",
	} {
		_, _, err := run(t, file+"\ndef main():\n    return "+call+"\n", false)
		if !strings.Contains(text(err), "frozen list") {
			t.Errorf("%s: %v", call, err)
		}
	}
}
