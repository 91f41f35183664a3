// Running a test inside an example.

package enginetest_test

import (
	"flag"
	"testing"
)

// asTest runs a test without the lines that -v prints, which would be taken for output.
func asTest(test func(*testing.T)) {
	if v := flag.Lookup("test.v").Value; v.String() != "false" {
		before := v.String()
		_ = v.Set("false")
		defer func() { _ = v.Set(before) }()
	}
	all := func(string, string) (bool, error) { return true, nil }
	if !testing.RunTests(all, []testing.InternalTest{{Name: "TestOrder", F: test}}) {
		panic("the test of the example has failed")
	}
}
