// Runs the example as its docstring says.

package saga_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// script is the example; tests run it from a directory of their own.
var script, _ = filepath.Abs("booking.star")

func TestSaga(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ args, want, hotel string }{
		{"false", `{"booked":["flight","hotel","car"]}`, "booked\n"},
		{"true", `{"booked":[],"because":"SoldOut: no car is left"}`, "cancelled\n"},
	} {
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), nil, []string{"exec", script, "--arg", "trip=t" + c.args, "--arg", "sold_out=" + c.args}, nil, &out, &errs)
		if got := strings.TrimSpace(out.String()); code != 0 || got != c.want {
			t.Errorf("exit status %d, output %q, want %q; standard error:\n%s", code, got, c.want, &errs)
		}
		if hotel, err := os.ReadFile("t" + c.args + "-hotel.txt"); err != nil || string(hotel) != c.hotel {
			t.Errorf("hotel %q, %v, want %q", hotel, err, c.hotel)
		}
	}
}
