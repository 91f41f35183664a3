// Activities that most tests want.

package hosttest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/starlark"
)

// Standard returns activities for tests: echo returns its first argument,
// add the sum of two ints, boom fails with kind Boom, slow returns its second argument after so many seconds as its first,
// late fails with kind Late after so many seconds, flaky fails while its attempt is odd, and null returns nothing.
func Standard() map[string]Activity {
	return map[string]Activity{
		"echo": func(c Call) ([]byte, *starlark.Failure, time.Duration) {
			args, failure := arguments(c, 1)
			if failure != nil {
				return nil, failure, 0
			}
			return args[0], nil, 0
		},
		"add": func(c Call) ([]byte, *starlark.Failure, time.Duration) {
			var n [2]int
			if err := json.Unmarshal(c.Args, &n); err != nil {
				return nil, &starlark.Failure{Kind: "BadArguments", Message: err.Error()}, 0
			}
			return fmt.Append(nil, n[0]+n[1]), nil, 0
		},
		"boom": func(c Call) ([]byte, *starlark.Failure, time.Duration) {
			return nil, &starlark.Failure{Kind: "Boom", Message: string(c.Args), Activity: "boom", Attempts: 3, Data: []byte(`{"code":7}`)}, 0
		},
		"slow": func(c Call) ([]byte, *starlark.Failure, time.Duration) {
			args, failure := arguments(c, 2)
			if failure != nil {
				return nil, failure, 0
			}
			return args[1], nil, seconds(args[0])
		},
		"late": func(c Call) ([]byte, *starlark.Failure, time.Duration) {
			args, failure := arguments(c, 1)
			if failure != nil {
				return nil, failure, 0
			}
			return nil, &starlark.Failure{Kind: "Late", Message: string(args[0])}, seconds(args[0])
		},
		"flaky": func(c Call) ([]byte, *starlark.Failure, time.Duration) {
			if c.Attempt%2 == 1 {
				return nil, &starlark.Failure{Kind: "Flaky", Message: fmt.Sprint(c.Attempt)}, 0
			}
			return fmt.Append(nil, c.Attempt), nil, 0
		},
		"null": func(Call) ([]byte, *starlark.Failure, time.Duration) { return nil, nil, 0 },
	}
}

func arguments(c Call, n int) ([]json.RawMessage, *starlark.Failure) {
	var args []json.RawMessage
	if err := json.Unmarshal(c.Args, &args); err != nil || len(args) < n {
		return nil, &starlark.Failure{Kind: "BadArguments", Message: fmt.Sprintf("%s wants %d arguments", c.Name, n)}
	}
	return args, nil
}

func seconds(b json.RawMessage) time.Duration {
	var n float64
	if json.Unmarshal(b, &n) != nil {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}
