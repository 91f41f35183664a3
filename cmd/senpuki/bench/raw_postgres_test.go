//go:build unix

package bench

import (
	"testing"

	"github.com/senpuki/senpuki/backend/servertest"
)

// The raw driver reaches whatever database the store does: behind a pooler, too, and with blanks in the URL's options.
func TestRawPostgres(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{
		"options": servertest.Postgres(t) + "&options=-c%20lock_timeout%3D4711",
		"pooler":  servertest.Pooler(t),
	} {
		t.Run(name, func(t *testing.T) { // one after the other: the schema is the process's
			raw, err := RawPostgres(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			for n := range int64(3) {
				other, err := PostgresCounters(t.Context(), at) // takes the connection behind the pooler
				if err != nil || other.Commits == 0 {
					t.Errorf("counted %+v, %v", other, err)
				}
				if err := raw.Write(t.Context(), []int64{n, n}, []int64{0, 1}, [][]byte{[]byte("a"), {0, 255}}); err != nil {
					t.Error(err)
				}
			}
			if err := raw.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
