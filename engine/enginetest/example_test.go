// An order that waits for a person, in a world where that takes no time.

package enginetest_test

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/engine/enginetest"
)

// testOrder is a test as it stands in a user's package.
func testOrder(t *testing.T) {
	workflows := fstest.MapFS{"order.star": {Data: []byte(`
charge = activity("charge", retry = retry_policy(initial_delay = "1m"))

def main(order, cents):
    if wait_signal("approve", timeout = "30d", default = False):
        return charge(order, cents)
    return None
`)}}
	env := enginetest.New(t, enginetest.Options{FS: workflows}) // or os.DirFS("workflows")
	env.Mock("charge", func(c enginetest.Call) (any, error) {
		if c.Attempt == 1 {
			return nil, activities.Fail("Busy", "try again")
		}
		return "receipt-1", nil
	})

	run := env.Start("order.star", engine.Input{Args: []any{"A1", 995}})
	env.Advance(29 * 24 * time.Hour)
	env.Crash() // another worker takes over
	run.Signal("approve", true)
	fmt.Printf("%q\n", enginetest.ResultAs[string](run))
	for _, call := range env.Calls("charge") {
		fmt.Println(call.At.Format(time.DateTime), call)
	}
}

func Example() {
	asTest(testOrder)
	// Output:
	// "receipt-1"
	// 2000-01-30 00:00:00 charge("A1", 995)
	// 2000-01-30 00:01:00 charge("A1", 995)
}
