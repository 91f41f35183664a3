// Commits whose server waits for a standby.

package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/servertest"
)

// replicate tells a server which standbys have to have what is committed, and returns when it goes by that.
func replicate(t *testing.T, url, to string) {
	t.Helper()
	admin, _ := connect(t, url)
	administer(t, admin, "ALTER SYSTEM SET synchronous_standby_names = '"+to+"'")
	administer(t, admin, "SELECT pg_reload_conf()")
	eventually(t, admin, "current_setting('synchronous_standby_names') = '"+to+"'")
	administer(t, admin, "CHECKPOINT") // by the process that makes the others wait, or wait no more
}

// eventually waits until a condition is true for the server.
func eventually(t *testing.T, conn *pgx.Conn, condition string) {
	t.Helper()
	for yes := false; !yes; {
		if err := conn.QueryRow(t.Context(), "SELECT "+condition).Scan(&yes); err != nil {
			t.Fatal(err)
		}
	}
}

// A commit that waits for a standby is not called off: it would stand on its server alone, for all to see. Who has it said why is a
// heartbeat, and whoever asks no more does not wait for long.
func TestCommitsThatWaitForAStandby(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, servertest.KindPostgres)
	for _, pooler := range []string{"", "&pooler=transaction"} {
		url := server.URL() + "&schema=" + map[string]string{"": "direct", "&pooler=transaction": "pooled"}[pooler]
		s := open(t, url+pooler)
		session, turns := held(t, s, "plain", "whole", "left")
		turns[1].Then, turns[1].State = backend.Finish, backend.Completed
		replicate(t, url, "nobody")
		stranger, _ := connect(t, url)
		s.Hurry(100*time.Millisecond, time.Second)
		landed := make(chan error, len(turns))
		for _, turn := range turns[:2] {
			go func() {
				_, err := s.Commit(t.Context(), backend.Batch{Session: session, Turns: []backend.Turn{turn}})
				landed <- err
			}()
		}
		eventually(t, stranger, "count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query_start < now() - interval '2300 ms'")
		if len(landed) > 0 {
			t.Fatalf("%q: a commit has ended with %v", pooler, <-landed)
		}
		eventually(t, stranger, "count(*) = 0 FROM journal WHERE row > 0 AND session = 1")
		if _, err := s.Beat(t.Context(), session, nil); !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), "standby") {
			t.Errorf("%q: a heartbeat: %v", pooler, err)
		}
		if _, _, err := s.Open(t.Context(), backend.Session{}); !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), "standby") {
			t.Errorf("%q: a session: %v", pooler, err)
		}
		if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "other"}}, nil); !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), "standby") {
			t.Errorf("%q: who has no session: %v", pooler, err)
		}
		ctx, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if _, err := s.Commit(ctx, backend.Batch{Session: session, Turns: turns[2:]}); !errors.Is(err, backend.ErrTransient) {
			t.Errorf("%q: a commit whose caller has left: %v", pooler, err)
		}
		leave()
		replicate(t, url, "")
		for range 2 {
			if err := <-landed; err != nil {
				t.Errorf("%q: %v", pooler, err)
			}
		}
		s.Hurry(time.Minute, time.Minute)
		if _, err := s.Beat(t.Context(), session, nil); err != nil {
			t.Error(err)
		}
		sound(t, s)
	}
}
