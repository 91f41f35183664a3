// Running a test inside an example.

package enginetest_test

import (
	"flag"
	"testing"
)

// asTest runs a test once, and without the lines that -v prints, which would be taken for output.
func asTest(test func(*testing.T)) {
	for name, value := range map[string]string{"test.v": "false", "test.count": "1"} {
		f := flag.Lookup(name).Value
		before := f.String()
		_ = f.Set(value)
		defer func() { _ = f.Set(before) }()
	}
	all := func(string, string) (bool, error) { return true, nil }
	if !testing.RunTests(all, []testing.InternalTest{{Name: "TestOrder", F: test}}) {
		panic("the test of the example has failed")
	}
}
